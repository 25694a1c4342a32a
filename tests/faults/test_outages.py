"""Servers that are away, or of no use, for a while: nothing is lost, nothing is free, and it drains after."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from tests.faults.clients import Seen
from tests.faults.cluster import Cluster
from tests.faults.driver import LONG, SIZE, Run
from tests.faults.office import Office
from tests.faults.pace import PACE

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(3600)]


async def test_billing_away(cluster: Cluster, office: Office) -> None:
    """Answers come from leases for as long as a lease is fresh, then 503; all that was answered is charged after."""
    run = Run(cluster, office, "billing away")
    await run.open()
    run.begin()
    await asyncio.sleep(1)
    cluster.kill("billing")
    away_s = time.monotonic()
    await asyncio.sleep(SIZE.outage_s)
    back_s = time.monotonic()
    await cluster.start("billing")
    await asyncio.sleep(1)
    run.kills += 1
    (await run.verdict()).hold()
    late = [one for one in run.seen if away_s + PACE.stale_s + 1 < one.begun_s and one.ended_s < back_s]
    assert not [one for one in late if one.status == 200], "answered on a stale lease"
    assert _answered_again(run.seen, after_s=back_s)


@LONG
async def test_usage_away(cluster: Cluster, office: Office) -> None:
    """Nobody notices: records wait in the journals."""
    run = Run(cluster, office, "usage away")
    await run.open()
    run.begin()
    await asyncio.sleep(1)
    cluster.kill("usage")
    await asyncio.sleep(SIZE.outage_s)
    await cluster.start("usage")
    run.kills += 1
    (await run.verdict()).hold()
    assert _refused_by_us(run.seen) == {}


async def test_valkey_paused_emptied_and_killed(cluster: Cluster, office: Office) -> None:
    """It holds nothing that a request needs."""
    run = Run(cluster, office, "valkey paused, emptied, killed")
    await run.open()
    run.begin()
    await asyncio.sleep(0.5)
    cluster.pause("valkey")
    await asyncio.sleep(SIZE.outage_s / 2)
    cluster.go_on("valkey")
    await asyncio.sleep(0.5)
    async with Redis.from_url(cluster.valkey_url) as redis:
        await redis.flushall()
    await asyncio.sleep(0.5)
    await run.kill("valkey", down_s=SIZE.outage_s / 2)
    (await run.verdict()).hold()
    assert _refused_by_us(run.seen) == {}


async def test_postgres_read_only_and_restarted(cluster: Cluster, office: Office) -> None:
    """Nothing can be booked: what cannot be held is refused with 503, nothing is free, and no process gives up."""
    run = Run(cluster, office, "postgres read-only, restarted")
    await run.open()
    run.begin()
    await asyncio.sleep(0.5)
    for setting, lasting_s in (("on", SIZE.outage_s), ("off", 1)):
        connection = await cluster.connect()
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        await asyncio.sleep(lasting_s)
    await cluster.stop("postgres")
    await asyncio.sleep(SIZE.outage_s / 2)
    run.kills += 1
    await cluster.start("postgres")
    await asyncio.sleep(0.5)
    assert cluster.deaths() == []
    (await run.verdict()).hold()
    assert set(_refused_by_us(run.seen)) <= {(503, "service_unavailable"), (429, "credits_in_use")}


def _refused_by_us(seen: Sequence[Seen]) -> Counter[tuple[int, str]]:
    """Answers with an error that is not the upstream's."""
    errors = Counter((one.status, one.error_code) for one in seen if one.error_code)
    return Counter({key: count for key, count in errors.items() if not key[1].startswith("upstream_")})


def _answered_again(seen: Sequence[Seen], *, after_s: float) -> bool:
    return any(one.done and one.begun_s > after_s for one in seen)
