"""The fleet: slots, outcomes, retries and figures together."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Snapshot, Upstream
from edge.upstream.candidates import Candidate
from edge.upstream.fleet import RETRY_WAIT_S, Figures, Fleet
from edge.upstream.members import EJECTION_S, FAILURES, Standing
from edge.upstream.probes import ProbePace
from edge.upstream.slots import MovedOn
from edge.upstream.visits import Outcome, pause_s
from tests.edge.upstream.world import Clock, model, names, route, snapshot, upstream
from tests.support.waiting import eventually


class Scene:
    """A fleet in front of a catalogue that tests change."""

    def __init__(self, models: Sequence[Model], upstreams: Sequence[Upstream]) -> None:
        self.clock = Clock()
        self.newest: Snapshot | None = snapshot(models, upstreams)
        self.healthy: set[str] = set()
        self.registry = CollectorRegistry()
        self.remembered: list[list[str]] = []
        self.fleet = Fleet(
            self.current,
            self.ask,
            random=lambda: 0.0,
            forget_others=lambda names: self.remembered.append(sorted(names)),
            now_s=self.clock,
            wait_s=60,
            probe_pace=ProbePace(healthy_s=0.04, unhealthy_s=0.04),
            registry=self.registry,
        )

    def current(self) -> Snapshot:
        if self.newest is None:
            raise EdgeError("service_unavailable", "No catalogue yet.")
        return self.newest

    async def ask(self, upstream: Upstream) -> bool:
        self.clock.now_s += 0.1
        return upstream.name in self.healthy

    def candidates(self) -> tuple[Candidate, ...]:
        known = self.current()
        return self.fleet.candidates(known.models["m"], known)

    async def visit(self, candidate: Candidate, outcome: Outcome, *, times: int = 1) -> None:
        for _ in range(times):
            (await self.fleet.enter(candidate)).leave(outcome)

    def figures(self, name: str) -> Figures:
        found = self.fleet.look(name)
        assert found is not None
        return found

    def shown(self) -> dict[str, float]:
        lines = generate_latest(self.registry).decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def one_and_other(**changes: int) -> Scene:
    upstreams = [upstream("a", **changes), upstream("b")]
    return Scene([model("m", route("a"), route("b", position=1))], upstreams)


async def test_failures_move_requests_elsewhere_and_a_success_brings_them_back() -> None:
    scene = one_and_other()
    a, b = scene.candidates()
    await scene.visit(a, Outcome.FAILURE, times=FAILURES - 1)
    await scene.visit(a, Outcome.NEUTRAL, times=50)
    assert scene.fleet.choose(scene.candidates()) is a
    await scene.visit(a, Outcome.FAILURE)
    assert scene.fleet.choose(scene.candidates()) is b
    assert scene.fleet.choose(scene.candidates(), [b]) is a
    assert scene.fleet.choose(scene.candidates(), [a, b]) is None
    assert scene.figures("a") == Figures(
        upstream=upstream("a"),
        standing=Standing.EJECTED,
        in_flight=0,
        queued=0,
        failures=0,
        failed_probes=0,
        ejections=1,
        ejected_for_s=EJECTION_S,
        latency_s=None,
    )
    scene.clock.now_s += EJECTION_S
    assert scene.fleet.choose(scene.candidates()) is a
    visit = await scene.fleet.enter(a)
    assert scene.fleet.choose(scene.candidates()) is b
    scene.clock.now_s += 2
    visit.answered(scene.clock())
    assert scene.fleet.choose(scene.candidates()) is a
    scene.clock.now_s += 100
    visit.answered(scene.clock())
    visit.leave(Outcome.SUCCESS)
    assert (scene.figures("a").standing, scene.figures("a").latency_s) == (Standing.HEALTHY, 2)


async def test_fifty_requests_that_die_together_are_one_ejection() -> None:
    scene = one_and_other()
    a, _ = scene.candidates()
    visits = [await scene.fleet.enter(a) for _ in range(50)]
    assert scene.figures("a").in_flight == 50
    for visit in visits:
        visit.leave(Outcome.FAILURE)
    assert (scene.figures("a").in_flight, scene.figures("a").ejections) == (0, 1)


async def test_a_visit_leaves_once_and_neutral_where_nothing_is_said() -> None:
    scene = one_and_other()
    a, _ = scene.candidates()
    with pytest.raises(ValueError, match="broken"), await scene.fleet.enter(a):
        raise ValueError("broken")
    with await scene.fleet.enter(a) as visit:
        visit.leave(Outcome.FAILURE)
        visit.leave(Outcome.FAILURE)
    assert (scene.figures("a").in_flight, scene.figures("a").failures) == (0, 1)


async def test_a_busy_one_is_left_alone_as_long_as_it_asks() -> None:
    scene = one_and_other()
    a, b = scene.candidates()
    (await scene.fleet.enter(a)).leave(Outcome.BUSY, pause_s=pause_s("7"))
    assert (scene.fleet.choose(scene.candidates()), scene.figures("a").failures) == (b, 0)
    scene.clock.now_s += 7
    assert scene.fleet.choose(scene.candidates()) is a


async def test_a_limit_of_one_callers_virtual_key_is_nothing_to_the_others() -> None:
    scene = Scene(
        [model("m", route("a"), route("b", position=1))],
        [upstream("a", kind="litellm", virtual_keys=True), upstream("b")],
    )
    a, _ = scene.candidates()
    (await scene.fleet.enter(a)).leave(Outcome.BUSY, pause_s=30)
    assert scene.fleet.choose(scene.candidates()) is a


@pytest.mark.parametrize(
    "header, expected",
    [("7", 7), ("0", 0), ("", 1), ("-3", 1), ("1.5", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("٣", 1)],
)
def test_a_pause_is_read_from_retry_after(header: str, expected: float) -> None:
    assert pause_s(header) == expected


async def test_a_full_upstream_is_passed_over_and_refuses_who_insists() -> None:
    scene = one_and_other(max_in_flight=1, max_queued=1)
    a, b = scene.candidates()
    first = await scene.fleet.enter(a)
    assert scene.fleet.choose(scene.candidates()) is a
    waiting = asyncio.create_task(scene.fleet.enter(a))
    await asyncio.sleep(0)
    assert (scene.figures("a").in_flight, scene.figures("a").queued) == (1, 1)
    assert scene.fleet.choose(scene.candidates()) is b
    with pytest.raises(EdgeError) as raised:
        await scene.fleet.enter(a)
    assert (raised.value.code, raised.value.headers) == ("upstream_unavailable", {"retry-after": "10"})
    scene.clock.now_s += 3
    first.leave(Outcome.SUCCESS)
    (await waiting).leave(Outcome.SUCCESS)
    assert (scene.figures("a").in_flight, scene.figures("a").queued) == (0, 0)
    held = await scene.fleet.enter(a)
    scene.fleet._wait_s = 0.01
    with pytest.raises(EdgeError):
        await scene.fleet.enter(a)
    held.leave(Outcome.NEUTRAL)
    await scene.visit(a, Outcome.SUCCESS)


async def test_a_queue_moves_on_when_its_upstream_is_ejected_but_who_has_nowhere_better_stays() -> None:
    scene = one_and_other(max_in_flight=1, max_queued=9)
    both = a, b = scene.candidates()
    await scene.visit(a, Outcome.FAILURE, times=FAILURES - 1)
    held = await scene.fleet.enter(a)
    tried: list[list[Candidate]] = [[a], [a, b], [a]]
    waiting = [asyncio.create_task(scene.fleet.enter(a, both, those)) for those in tried]
    alone = asyncio.create_task(scene.fleet.enter(a, [a], [a]))
    await asyncio.sleep(0)
    assert scene.figures("a").queued == 4
    held.leave(Outcome.FAILURE)
    moved = await asyncio.gather(waiting[0], waiting[2], return_exceptions=True)
    assert [type(one) for one in moved] == [MovedOn, MovedOn]
    assert scene.fleet.choose(both) is b
    assert (scene.figures("a").in_flight, scene.figures("a").queued) == (1, 1)
    # Ejected or not, it serves those in their order.
    (await waiting[1]).leave(Outcome.NEUTRAL)
    (await alone).leave(Outcome.NEUTRAL)
    assert (scene.figures("a").in_flight, scene.figures("a").queued) == (0, 0)


async def test_a_queue_stays_where_all_the_others_are_ejected_as_well() -> None:
    scene = one_and_other(max_in_flight=1)
    both = a, b = scene.candidates()
    await scene.visit(b, Outcome.FAILURE, times=FAILURES)
    await scene.visit(a, Outcome.FAILURE, times=FAILURES - 1)
    held = await scene.fleet.enter(a)
    waiting = asyncio.create_task(scene.fleet.enter(a, both, [a]))
    await asyncio.sleep(0)
    held.leave(Outcome.FAILURE)
    assert (scene.figures("a").standing, scene.figures("b").standing) == (Standing.EJECTED, Standing.EJECTED)
    (await waiting).leave(Outcome.SUCCESS)


async def test_retries_end_once_and_are_counted() -> None:
    scene = one_and_other()
    await scene.fleet.start()
    retries = [await scene.fleet.retry() for _ in range(3)]
    assert None not in retries
    waiting = asyncio.create_task(scene.fleet.retry())
    await asyncio.sleep(0)
    assert retries[0] is not None
    with retries[0] as retry:
        retry.end()
    assert await waiting is not None
    refused = [asyncio.create_task(scene.fleet.retry()) for _ in range(2)]
    await asyncio.sleep(0)
    scene.clock.now_s += RETRY_WAIT_S
    assert await asyncio.gather(*refused) == [None, None]
    shown = scene.shown()
    assert (shown["edge_upstream_retries_total"], shown["edge_upstream_retries_refused_total"]) == (4, 2)
    await scene.fleet.close()


async def test_the_catalogue_is_followed_and_what_is_known_stays() -> None:
    scene = one_and_other(max_in_flight=1)
    before = scene.candidates()
    assert scene.candidates() is before
    await scene.visit(before[0], Outcome.FAILURE, times=FAILURES)
    held = await scene.fleet.enter(before[0])
    moved = upstream("b", base_url="http://elsewhere")
    known = model("m", route("a"), route("b"), route("c"))
    await scene.visit(before[1], Outcome.FAILURE, times=FAILURES)
    scene.newest = snapshot([known], [upstream("a", max_in_flight=2), moved, upstream("c")], version=2)
    after = scene.candidates()
    assert names(after) == ["a", "b", "c"]
    assert (scene.figures("a").standing, scene.figures("a").in_flight) == (Standing.EJECTED, 1)
    assert (scene.figures("b").standing, scene.figures("b").upstream) == (Standing.HEALTHY, moved)
    (await scene.fleet.enter(after[0])).leave(Outcome.NEUTRAL)
    held.leave(Outcome.NEUTRAL)
    assert scene.figures("a").in_flight == 0
    assert scene.remembered == [["a", "b"], ["a", "b", "c"]]


async def test_a_request_with_an_older_catalogue_is_served_and_changes_nothing() -> None:
    scene = one_and_other()
    old, (a, b) = scene.current(), scene.candidates()
    scene.newest = snapshot([model("m", route("b"))], [upstream("b")], version=2)
    assert names(scene.candidates()) == ["b"]
    assert names(scene.fleet.candidates(old.models["m"], old)) == ["a", "b"]
    assert scene.fleet.choose((a, b)) is a
    await scene.visit(a, Outcome.SUCCESS)
    assert (scene.fleet.look("a"), names(scene.candidates())) == (None, ["b"])


async def test_without_a_catalogue_there_is_nothing_to_look_at() -> None:
    scene = one_and_other()
    scene.newest = None
    await scene.fleet.start()
    assert scene.fleet.look("a") is None
    await scene.fleet.close()


async def test_the_preferred_come_first() -> None:
    known = snapshot([model("m", route("a"), route("b"))], [upstream("a"), upstream("b")])
    fleet = Fleet(
        lambda: known,
        lambda _: asyncio.sleep(0, True),
        random=lambda: 0.0,
        rank=lambda candidate: candidate.upstream.name == "a",
        now_s=Clock(),
    )
    found = fleet.candidates(known.models["m"], known)
    chosen = fleet.choose(found)
    assert chosen is found[1]


async def test_probes_bring_an_ejected_one_back_and_figures_vanish_with_an_upstream() -> None:
    scene = one_and_other()
    a, _ = scene.candidates()
    await scene.visit(a, Outcome.FAILURE, times=FAILURES)
    await scene.fleet.start()

    async def ready() -> bool:
        return scene.figures("a").standing is Standing.ON_TRIAL and scene.figures("b").standing is Standing.SUSPECT

    scene.healthy = {"a"}
    await eventually(ready, what="the probes")
    with await scene.fleet.enter(a):
        shown = scene.shown()
    assert shown['edge_upstream_in_flight{upstream="a"}'] == 1
    assert shown['edge_upstream_queued{upstream="a"}'] == 0
    assert shown['edge_upstream_ejected{upstream="a"}'] == 1
    assert shown['edge_upstream_ejections_total{upstream="a"}'] == 1
    assert shown['edge_upstream_probes_total{result="ok",upstream="a"}'] >= 1
    assert shown['edge_upstream_probes_total{result="failed",upstream="b"}'] >= 3
    scene.newest = snapshot([model("m", route("a"))], [upstream("a")], version=2)

    async def gone() -> bool:
        return not any("b" in name.partition("upstream=")[2] for name in scene.shown())

    await eventually(gone, what="the figures to vanish")
    await scene.fleet.close()
    assert scene.shown() == {}
