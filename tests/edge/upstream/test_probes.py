"""Probes: who is asked, how often, and what the answers change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from edge.lookup.catalogue import Upstream
from edge.upstream.client import Unreachable
from edge.upstream.members import FAILURES, Member, Standing
from edge.upstream.probes import ProbePace, Probes
from tests.edge.upstream.test_members import fail
from tests.edge.upstream.world import Clock, member
from tests.support.waiting import eventually

PACE = ProbePace(healthy_s=5, unhealthy_s=1, deadline_s=0.02, jitter=0)


class Server:
    """Answers probes as it is told; `hangs` for ever where so, and keeps the names it was asked for."""

    def __init__(self) -> None:
        self.is_healthy = True
        self.hangs = False
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.at_once = 0

    async def __call__(self, upstream: Upstream) -> bool:
        self.asked.append(upstream.name)
        self.at_once += 1
        try:
            assert self.at_once == 1
            if self.hangs:
                await asyncio.sleep(3600)
            if self.error:
                raise self.error
            return self.is_healthy
        finally:
            self.at_once -= 1


@asynccontextmanager
async def probing(
    server: Server, members: list[Member], clock: Clock, *, random: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[None]:
    """Probes that look who is due a hundred times a second, by the clock of the test."""
    probes = Probes(server, lambda: members, pace=PACE, now_s=clock, random=random)
    probes.step_s = 0.01
    task = asyncio.create_task(probes.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def asked(server: Server, times: int) -> bool:
    """Whether it was asked so often, and not more often within a few looks."""

    async def often_enough() -> bool:
        return len(server.asked) >= times

    await eventually(often_enough, what=f"probe {times}")
    await asyncio.sleep(0.05)
    return len(server.asked) == times


async def test_a_healthy_one_is_asked_every_five_seconds_and_an_ejected_one_every_second() -> None:
    clock, one, server = Clock(), member(), Server()
    async with probing(server, [one], clock):
        assert await asked(server, 1)
        clock.now_s += 4.9
        assert await asked(server, 1)
        clock.now_s += 0.1
        assert await asked(server, 2)
        server.is_healthy = False
        fail(one, clock, FAILURES)
        clock.now_s += 1
        assert await asked(server, 3)
        clock.now_s += 1
        assert await asked(server, 4)
        server.is_healthy = True
        clock.now_s += 1
        assert await asked(server, 5)
        assert one.standing(clock()) is Standing.ON_TRIAL
        assert (one.probes_total, one.failed_probes_total, one.failed_probes) == (5, 2, 0)


async def test_silence_errors_and_surprises_are_failed_probes_and_the_others_go_on() -> None:
    clock, one, server = Clock(), member(), Server()
    async with probing(server, [one], clock):
        assert await asked(server, 1)
        server.hangs = True
        clock.now_s += 5
        assert await asked(server, 2)
        server.hangs, server.error = False, Unreachable("nobody there")
        clock.now_s += 1
        assert await asked(server, 3)
        server.error = RuntimeError("a surprise")
        clock.now_s += 1
        assert await asked(server, 4)
        assert (one.failed_probes, one.standing(clock())) == (3, Standing.SUSPECT)
        server.error = None
        clock.now_s += 1
        assert await asked(server, 5)
        assert (one.failed_probes, one.standing(clock())) == (0, Standing.HEALTHY)


async def test_edges_do_not_ask_together() -> None:
    clock, one, server = Clock(), member(), Server()
    async with probing(server, [one], clock, random=lambda: 0.5):
        assert await asked(server, 1)
        clock.now_s += 5  # No jitter in PACE: the whole pause.
        assert await asked(server, 2)
    jittered = Probes(server, lambda: [one], pace=ProbePace(jitter=0.2), now_s=clock, random=lambda: 0.5)
    await jittered._probe(one)
    assert not jittered._is_due(one, clock() + 4.4)
    assert jittered._is_due(one, clock() + 4.5)


async def test_one_that_has_left_is_forgotten() -> None:
    clock, members, server = Clock(), [member("a")], Server()
    probes = Probes(server, lambda: members, pace=PACE, now_s=clock, random=lambda: 0.0)
    probes.step_s = 0.01
    task = asyncio.create_task(probes.run())
    assert await asked(server, 1)
    members.clear()
    clock.now_s += 100
    assert await asked(server, 1)
    assert probes._asked == {}
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
