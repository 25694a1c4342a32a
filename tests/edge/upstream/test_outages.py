"""Fifty clients in front of three upstreams, one of which goes wrong: what they see, in simulated time."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from edge.lookup.catalogue import Upstream
from edge.upstream.candidates import Candidate
from edge.upstream.fleet import Fleet
from edge.upstream.members import Standing
from edge.upstream.visits import Outcome, Retry, Visit
from tests.edge.upstream.world import Clock, model, route, snapshot, upstream

CLIENTS = 50
FIRST_BYTE_S, FIRST_BYTE_LIMIT_S, SILENCE_LIMIT_S = 0.1, 5.0, 5.0
ANSWER_S = 3.0


@dataclass
class World:
    """Clients that ask again when they are answered, or a moment after they were not."""

    clock: Clock = field(default_factory=Clock)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    count: int = 0
    mode: str = "well"
    """What is wrong with `a`: `well`, `dead`, `hung`, `slow`, `lying`."""
    visible: int = 0
    """Errors that a client saw before the first byte."""
    sent_wrong: int = 0
    """Attempts that `a` let fail after it went wrong."""
    streams: set[Visit] = field(default_factory=set)
    """Those that `a` is answering."""

    def __post_init__(self) -> None:
        self.known = snapshot([model("m", *(route(name) for name in "abc"))], [upstream(name) for name in "abc"])
        self.random = random.Random(7)  # noqa: S311 (the same numbers in every run)
        self.fleet = Fleet(
            lambda: self.known, self.ask, random=self.random.random, now_s=self.clock, registry=CollectorRegistry()
        )
        for number in range(CLIENTS):
            self.later(number / CLIENTS, self.begin)
        self.later(0.5, self.probe)

    async def ask(self, _: Upstream) -> bool:
        raise NotImplementedError

    def probe(self) -> None:
        """As the prober does; the loop is not ours to simulate."""
        for member in self.fleet._known():
            is_healthy = member.upstream.name != "a" or self.mode in {"well", "lying"}
            member.probed(self.clock(), is_healthy=is_healthy)
        self.later(1, self.probe)

    def later(self, after_s: float, what: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.clock() + after_s, self.count, what))

    def run(self, time_s: float) -> None:
        end_s = self.clock() + time_s
        while self.events and self.events[0][0] <= end_s:
            self.clock.now_s, _, what = heapq.heappop(self.events)
            what()
        self.clock.now_s = end_s

    def begin(self) -> None:
        Request(self).attempt(None)

    def go_wrong(self, mode: str) -> None:
        self.mode = mode
        for visit in tuple(self.streams):
            if mode in {"dead", "hung"}:
                self.streams.discard(visit)
                # The client has seen a part of an answer: it gets an error event, and asks again.
                self.later(0 if mode == "dead" else SILENCE_LIMIT_S, partial(self.broke, visit))

    def broke(self, visit: Visit) -> None:
        visit.leave(Outcome.FAILURE)
        self.begin()


class Request:
    """One request of a client, through all of its attempts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.candidates = world.fleet.candidates(world.known.models["m"], world.known)
        self.tried: list[Candidate] = []

    def attempt(self, retry: Retry | None) -> None:
        world = self.world
        chosen = world.fleet.choose(self.candidates, self.tried)
        if chosen is None:
            self.give_up(retry)
            return
        self.tried.append(chosen)
        entering = world.fleet.enter(chosen)
        with pytest.raises(StopIteration) as entered:
            entering.send(None)
        visit: Visit = entered.value.value
        wrong = world.mode if chosen.upstream.name == "a" else "well"
        world.sent_wrong += wrong != "well"
        if wrong == "well":
            world.later(FIRST_BYTE_S, partial(self.first_byte, visit, retry))
        else:
            fails_after_s = {"dead": 0.001, "lying": 0.02}.get(wrong, FIRST_BYTE_LIMIT_S)
            world.later(fails_after_s, partial(self.failed, visit, retry))

    def first_byte(self, visit: Visit, retry: Retry | None) -> None:
        world = self.world
        visit.answered(world.clock())
        if retry is not None:
            retry.end()
        if visit.member.upstream.name == "a":
            world.streams.add(visit)
        world.later(ANSWER_S * (1 + 2 * world.random.random()) / 3, partial(self.end, visit))

    def end(self, visit: Visit) -> None:
        if visit.member.upstream.name == "a":
            if visit not in self.world.streams:
                return
            self.world.streams.discard(visit)
        visit.leave(Outcome.SUCCESS)
        self.world.begin()

    def failed(self, visit: Visit, retry: Retry | None) -> None:
        visit.leave(Outcome.FAILURE)
        if retry is not None:
            retry.end()
        # One that has to wait is one too many: nothing is simulated that could end the wait.
        with pytest.raises(StopIteration) as allowed:
            self.world.fleet.retry().send(None)
        self.attempt(allowed.value.value)

    def give_up(self, retry: Retry | None) -> None:
        if retry is not None:
            retry.end()
        self.world.visible += 1
        self.world.later(0.05, self.world.begin)


@pytest.mark.parametrize(
    "mode, most_wrong, back_s",
    [
        # Its streams die with it, so it is ejected before anybody asks it again; probes do the rest.
        ("dead", 5, 1),
        # Until the first limit is up, nobody can know; the fewer it ends, the fewer it gets.
        ("hung", 5, 1),
        ("slow", 40, 1),
        # Probes see nothing, so one request at the end of each ejection has to.
        ("lying", 10, 120),
    ],
)
def test_nobody_sees_it_before_the_first_byte_and_it_is_back_when_it_is_well(
    mode: str, most_wrong: int, back_s: float
) -> None:
    world = World()
    world.run(20)
    assert (world.visible, world.sent_wrong) == (0, 0)
    world.go_wrong(mode)
    world.run(60)
    assert world.visible == 0
    assert world.sent_wrong <= most_wrong
    world.mode = "well"
    world.run(back_s + ANSWER_S)
    figures = world.fleet.look("a")
    assert figures is not None
    assert (figures.standing, figures.in_flight > 0) == (Standing.HEALTHY, True)
    assert world.visible == 0
