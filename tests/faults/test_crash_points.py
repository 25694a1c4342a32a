"""Every process dies at every crash point under load, and nothing is lost, doubled or left open."""

import asyncio
import random
from contextlib import suppress

import pytest

from kit.errors import RemoteError
from tests.faults import points
from tests.faults.cluster import EDGES, Cluster
from tests.faults.driver import RICH_NANOS, SIZE, Run, randomness
from tests.faults.office import Office

REACHED_WITHIN_S = 20.0

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(3600)]


async def test_every_point_of_the_source_is_exercised() -> None:
    assert sorted(points.ALL) == sorted(points.in_the_source())


async def test_death_at_every_point_under_load(cluster: Cluster, office: Office) -> None:
    """In an order that the seed gives; the smallest size takes a few of them."""
    rng = randomness("crash points")
    order = [*points.BUSY, *points.IDLE, *points.SIGN_UP, *points.ADOPT]
    rng.shuffle(order)
    if not SIZE.rounds:
        order = order[:4]
    run = Run(cluster, office, "death at every crash point", customers=8)
    await run.open()
    for _ in range(max(SIZE.rounds, 1)):
        run.begin()
        for point in order:
            await die_at(run, office, point, rng)
        await run.relieve()
    (await run.whole()).hold()


async def die_at(run: Run, office: Office, point: str, rng: random.Random) -> None:
    """Restarts the point's process with a death at it, waits for that, and starts it anew."""
    cluster, process = run.cluster, points.process_of(point)
    passage = rng.randrange(1, 6) if point in points.BUSY else 1
    if point in points.ADOPT:
        for edge in EDGES:
            cluster.kill(edge)
        await cluster.launch(process, faults=f"{point}=kill")
    else:
        cluster.kill(process)
        await cluster.launch(process, faults=f"{point}=kill:{passage}")
    signing_up = asyncio.create_task(_sign_up(cluster, office, process)) if point in points.SIGN_UP else None
    try:
        assert await cluster.gone(process, within_s=REACHED_WITHIN_S) == -9
    except AssertionError as error:
        raise AssertionError(f"{point}: {error}") from None
    finally:
        if signing_up:
            await signing_up
    run.kills += 2
    await cluster.revive()


async def _sign_up(cluster: Cluster, office: Office, process: str) -> None:
    """Until the process has died of it; that the account is opened later is part of the verdict."""
    while cluster.exit_code(process) is None:
        with suppress(RemoteError, AssertionError):
            await office.customer(RICH_NANOS)
        await asyncio.sleep(0.1)
