"""Every process fails at all of its crash points, again and again, and lives: by an error, a lost reply, slowly.

All points of all processes are at work at once, so that what repeats a failed call fails as well, at another place.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

import pytest

from kit.errors import RemoteError
from tests.faults import books, points
from tests.faults.cluster import Cluster
from tests.faults.driver import RICH_NANOS, SIZE, Run
from tests.faults.long_stream import reported_stream
from tests.faults.office import Office
from tests.faults.test_kills import replay
from tests.support.waiting import eventually

FAILING = ("billing", "usage", "auth", "edge-a")
"""`edge-b` is well, and dies: somebody has to find what it leaves behind."""
MODES = {"raise": ("raise:3", "raise:2"), "drop": ("drop:3", "drop:2"), "delay": ("delay:30", "delay:200")}
"""At a point that is passed often, and at one that may be passed once only."""
REACHED_WITHIN_S = 60.0

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=pytest.mark.skipif(mode not in SIZE.modes, reason="not in runs of this size"))
        for mode in MODES
    ],
)
async def test_every_point_fails_again_and_again(cluster: Cluster, office: Office, mode: str) -> None:
    """All comes to rest and is right while the points still fail; then everything that was charged is sent again."""
    run = Run(cluster, office, f"{mode} at every crash point")
    await run.open()
    for process in FAILING:
        cluster.kill(process)
        await cluster.start(process, faults=_all_of(process, mode))
    run.kills += len(FAILING)
    run.begin()
    await _reached(cluster, points.BUSY)
    await run.rest()
    await _reached(cluster, points.IDLE)
    signing_up = asyncio.create_task(_sign_up(office))
    try:
        await _reached(cluster, points.SIGN_UP)
    finally:
        signing_up.cancel()
        await asyncio.gather(signing_up, return_exceptions=True)
    run.begin()
    await eventually(partial(_has_leases, cluster, "edge-b"), within_s=20, what="something to adopt")
    cluster.kill("edge-b")
    run.kills += 1
    await _reached(cluster, points.ADOPT)
    await _lose(run, "edge-b")
    verdict = await run.verdict()
    for process in FAILING:
        cluster.kill(process)
        await cluster.start(process)
    run.kills += len(FAILING)
    verdict.hold()
    await replay(run, office)
    (await run.verdict()).hold()


async def _lose(run: Run, edge: str) -> None:
    """An edge comes back and dies under a stream; its journal is found once usage has ended what it left open."""
    cluster, away = run.cluster, str(run.cluster.directory / "away")
    await cluster.start(edge, EDGE_JOURNAL_DIR=away)
    streaming = await reported_stream(run, "lost")
    cluster.kill(edge)
    run.kills += 1
    run.seen.append(await streaming)
    await _reached(cluster, points.LOST)
    await cluster.start(edge, EDGE_JOURNAL_DIR=away)
    await run.rest()
    await cluster.stop(edge)
    await cluster.start(edge)


async def _has_leases(cluster: Cluster, edge: str) -> bool:
    return await books.gauge(cluster, edge, "edge_leases") > 0


def _all_of(process: str, mode: str) -> str:
    often, rarely = MODES[mode]
    busy = {*points.BUSY, *points.IDLE}
    mine = [point for point in points.ALL if points.process_of(point) == process]
    return ",".join(f"{point}={often if point in busy else rarely}" for point in mine)


async def _reached(cluster: Cluster, wanted: Iterable[str]) -> None:
    """Waits until each of these points has failed."""

    async def all_reached() -> bool:
        missing.difference_update(*(cluster.reached(process) for process in FAILING))
        return not missing

    missing = set(wanted)
    try:
        await eventually(all_reached, within_s=REACHED_WITHIN_S)
    except AssertionError as error:
        raise AssertionError(f"not reached: {sorted(missing)}") from error


async def _sign_up(office: Office) -> None:
    """Customers who try until they are told to stop."""
    while True:
        with suppress(RemoteError, AssertionError):
            await office.customer(RICH_NANOS)
        await asyncio.sleep(0.1)
