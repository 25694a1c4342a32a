"""Which upstream gets a request."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge.upstream.candidates import Candidate, candidates
from edge.upstream.choosing import choose
from edge.upstream.members import EJECTION_S, Member
from tests.edge.upstream.test_members import fail
from tests.edge.upstream.world import Clock, member, model, names, route, snapshot, upstream


class Scene:
    """Candidates with the members behind them."""

    def __init__(self, *routes: Any, fallbacks: Sequence[Any] = (), sticky: str = "") -> None:
        self.clock = Clock()
        others = [model(f"other-{number}", one) for number, one in enumerate(fallbacks)]
        asked = model("m", *routes, fallback_models=[one.public_name for one in others], sticky=sticky)
        names = {one.upstream_name for one in (*routes, *fallbacks)}
        known = snapshot([asked, *others], [upstream(name) for name in names])
        self.candidates = candidates(asked, known)
        self.members = {name: member(name, clock=self.clock) for name in names}
        self.ranks: dict[str, int] = {}
        self.random = random.Random(1)  # noqa: S311 (the same numbers in every run)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def choose(self, *tried: Candidate, sticky_key: str = "") -> str | None:
        chosen = choose(
            self.candidates,
            self.members,
            tried=tried,
            sticky_key=sticky_key,
            rank=lambda candidate: self.ranks.get(candidate.upstream.name, 0),
            now_s=self.clock(),
            random=self.random.random,
        )
        return chosen.upstream.name if chosen else None

    def shares(self, times: int = 1000, **given: Any) -> dict[str | None, int]:
        return dict(Counter(self.choose(**given) for _ in range(times)))

    def load(self, **in_flight: int) -> None:
        for name, count in in_flight.items():
            self[name].slots.in_flight = count


def test_the_lowest_position_serves_while_it_has_one_that_is_good() -> None:
    scene = Scene(route("a"), route("b"), route("c", position=1), fallbacks=[route("d")])
    scene.load(a=50, b=50)
    assert set(scene.shares()) == {"a", "b"}
    fail(scene["a"], scene.clock)
    assert scene.shares(10) == {"b": 10}
    fail(scene["b"], scene.clock)
    assert scene.shares(10) == {"c": 10}
    fail(scene["c"], scene.clock)
    assert scene.shares(10) == {"d": 10}


def test_when_all_are_ejected_all_are_used_by_weight_in_the_lowest_position() -> None:
    scene = Scene(route("a", weight=3), route("b"), route("c", position=1), fallbacks=[route("d")])
    for name in "abcd":
        fail(scene[name], scene.clock)
    scene.load(a=50)
    shares = scene.shares()
    assert set(shares) == {"a", "b"}
    assert 700 < shares["a"] < 800


def test_of_ejected_ones_those_that_answer_probes_come_first() -> None:
    scene = Scene(route("a"), route("b", position=1))
    for name in "ab":
        fail(scene[name], scene.clock)
    for _ in range(3):
        scene["a"].probed(scene.clock(), is_healthy=False)
    assert scene.choose() == "b"


def test_one_that_is_avoided_is_better_than_none() -> None:
    scene = Scene(route("a"), route("b", position=1))
    scene["a"].cool_down(30, scene.clock())
    assert scene.choose() == "b"
    fail(scene["b"], scene.clock)
    assert scene.choose() == "a"


def test_what_was_tried_is_not_chosen_again() -> None:
    scene = Scene(route("a"), route("b", position=1), fallbacks=[route("a")])
    first, second, third = scene.candidates
    assert [scene.choose(), scene.choose(first), scene.choose(first, second)] == ["a", "b", "a"]
    assert scene.choose(first, second, third) is None
    alone = Scene(route("a"))
    assert (alone.choose(), alone.choose(alone.candidates[0])) == ("a", None)


def test_an_idle_fleet_is_used_by_weight() -> None:
    shares = Scene(route("a", weight=3), route("b")).shares()
    assert 700 < shares["a"] < 800


def test_of_two_the_one_with_less_to_do_for_its_weight_is_chosen() -> None:
    scene = Scene(route("a", weight=3), route("b"))
    scene.load(a=5, b=2)
    assert scene.shares(50) == {"a": 50}
    scene.load(a=7, b=2)
    assert scene.shares(50) == {"b": 50}


def test_the_busiest_of_three_is_never_chosen() -> None:
    scene = Scene(route("a"), route("b"), route("c"))
    scene.load(a=3, b=2, c=1)
    shares = scene.shares()
    assert set(shares) == {"b", "c"}
    assert 550 < shares["c"] < 780


def test_a_better_rank_comes_before_load() -> None:
    scene = Scene(route("a"), route("b"), route("c"))
    scene.ranks = {"a": 2, "b": 1, "c": 1}
    scene.load(b=5, c=6)
    assert scene.shares(50) == {"b": 50}


def test_a_sticky_key_keeps_its_upstream_and_only_its_own_ones_move() -> None:
    scene = Scene(*(route(name) for name in "abcd"), sticky="user")
    keys = [f"user-{number}" for number in range(400)]
    before = {key: scene.choose(sticky_key=key) for key in keys}
    assert before == {key: scene.choose(sticky_key=key) for key in keys}
    assert all(70 < count < 130 for count in Counter(before.values()).values())
    fail(scene["a"], scene.clock)
    after = {key: scene.choose(sticky_key=key) for key in keys}
    assert all(after[key] == before[key] for key in keys if before[key] != "a")
    assert len({after[key] for key in keys if before[key] == "a"}) == 3


def test_sticky_keys_are_spread_by_weight() -> None:
    scene = Scene(route("a", weight=3), route("b"), sticky="user")
    shares = Counter(scene.choose(sticky_key=f"user-{number}") for number in range(1000))
    assert 700 < shares["a"] < 800


def test_a_sticky_key_goes_elsewhere_while_its_upstream_has_over_twice_its_share() -> None:
    scene = Scene(*(route(name) for name in "abc"), sticky="user")
    home = scene.choose(sticky_key="k")
    assert home is not None
    scene.load(**{home: 4}, **dict.fromkeys({"a", "b", "c"} - {home}, 1))
    assert scene.choose(sticky_key="k") == home
    scene.load(**{home: 7})
    other = scene.choose(sticky_key="k")
    assert other != home
    assert scene.shares(20, sticky_key="k") == {other: 20}


def test_a_key_means_nothing_where_the_model_is_not_sticky() -> None:
    assert set(Scene(route("a"), route("b")).shares(100, sticky_key="k")) == {"a", "b"}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["succeed", "fail", "fail", "fail", "fail", "probe", "miss", "pause", "later"]),
        st.integers(0, 3),
    ),
    max_size=150,
)


@given(EVENTS)
def test_whatever_upstreams_do_there_is_always_one_and_a_good_one_where_there_is_any(
    events: list[tuple[str, int]],
) -> None:
    scene = Scene(route("a"), route("b"), route("c", position=1), fallbacks=[route("d")])
    for what, number in events:
        one, now_s = scene["abcd"[number]], scene.clock()
        if what == "succeed":
            one.answered(one.era)
            one.succeeded(one.era, now_s)
        elif what == "fail":
            one.failed(one.era, now_s, was_answered=number == 0)
        elif what in {"probe", "miss"}:
            one.probed(now_s, is_healthy=what == "probe")
        elif what == "pause":
            one.cool_down(5, now_s)
        else:
            scene.clock.now_s += EJECTION_S / 3
        chosen = scene.choose()
        assert chosen is not None
        assert scene[chosen].level(scene.clock()) == min(m.level(scene.clock()) for m in scene.members.values())
    assert names(scene.candidates) == ["a", "b", "c", "d"]
