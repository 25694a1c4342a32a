"""What may happen to an edge that goes on: races for little money, a full disk, a wrong clock, a new price."""

import asyncio
import resource
from pathlib import Path

import aiohttp
import pytest

from privaterouter.catalog.v1 import catalog_pb2
from tests.faults import books
from tests.faults.clients import Seen, Wish, send
from tests.faults.cluster import EDGES, Cluster
from tests.faults.driver import LONG, RICH_NANOS, SEED, SIZE, Run, note, randomness
from tests.faults.office import INPUT_NANOS_PER_MTOK, MODEL, OUTPUT_NANOS_PER_MTOK, Customer, Office
from tests.faults.verdict import Verdict, judge
from tests.support.waiting import eventually

LITTLE_NANOS = 2_500_000
"""Some forty requests of a race, of whose clients each sends three; below 1,000,000 nothing is lent."""
RACERS = 64
AT_ONCE = 4
"""Races of different customers, at the same time."""
CLOCK = """
import sys, time
from datetime import timedelta

if "edge" in sys.orig_argv:
    from kit import clock

    time_ns, utc_now = time.time_ns, clock.utc_now
    time.time_ns = lambda: time_ns() + {hours} * 3600 * 10**9
    clock.utc_now = lambda: utc_now() + timedelta(hours={hours})
"""
"""What the edge reads of the wall clock; not `time.time`, by which gRPC's Python tells gRPC's C when to give up."""

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(7200)]


async def test_races_for_a_small_balance(cluster: Cluster, office: Office) -> None:
    """64 clients on two edges, who have never been seen before: through the account, and through the key's limit."""
    begun_s = asyncio.get_running_loop().time()
    rng = randomness("races")
    total = Verdict()
    for first in range(0, SIZE.races, AT_ONCE):
        prizes = {
            f"{first}/{number}": (LITTLE_NANOS + rng.randrange(100_000), rng.random() < 0.5)
            for number in range(min(AT_ONCE, SIZE.races - first))
        }
        customers = await asyncio.gather(
            *(
                office.customer(
                    RICH_NANOS if limited else balance,
                    keys=1 if limited else 2,
                    monthly_limit_nanos=balance if limited else None,
                )
                for balance, limited in prizes.values()
            )
        )
        raced = await asyncio.gather(*(_race(cluster, *entry) for entry in zip(customers, prizes, strict=True)))
        seen = [one for race in raced for one in race]
        verdict = await judge(cluster, customers, seen)
        found = await books.read(
            cluster, [customer.account_id for customer in customers], asked=f"{SEED}/race/{first}/"
        )
        for customer, (balance, _) in zip(customers, prizes.values(), strict=True):
            spent = found.charged_nanos[customer.account_id]
            verdict.findings += [f"spent {spent} of {balance}"] if spent > balance else []
            verdict.findings += [] if spent > balance // 2 else [f"spent only {spent} of {balance}: no race"]
        total.add(verdict)
        note("races for a small balance", total, begun_s=begun_s)
        total.hold()
        assert {one.status for one in seen} <= {200, 402, 429}


async def _race(cluster: Cluster, customer: Customer, race: str) -> list[Seen]:
    async def racer(number: int) -> list[Seen]:
        async with aiohttp.ClientSession() as session:
            return [
                await send(
                    session,
                    cluster,
                    Wish(
                        nonce=f"{SEED}/race/{race}/{number}/{lap}",
                        secret=customer.secrets[number % len(customer.secrets)],
                        account_id=customer.account_id,
                        edge=EDGES[number // 2 % 2],
                        streamed=number % 3 == 0,
                        max_tokens=200,
                        script={"tokens_per_chunk": 20},
                    ),
                )
                for lap in range(3)
            ]

    return [one for laps in await asyncio.gather(*map(racer, range(RACERS))) for one in laps]


@LONG
async def test_a_full_disk_under_the_journal(cluster: Cluster, office: Office) -> None:
    """New requests get a 503, running ones end and are billed, and all goes on when there is space again."""
    run = Run(cluster, office, "disk full under the journal")
    await run.open()
    await cluster.stop("edge-a")
    await cluster.start("edge-a", log=Path("/dev/null"))  # its log would hit the same limit
    run.begin()
    await asyncio.sleep(1)
    pid = cluster.pid("edge-a")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    await asyncio.sleep(2)
    await run.rest()
    ended = len(run.seen)
    run.begin()
    await asyncio.sleep(0.5)
    await run.rest()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    on_a_full_disk = [one for one in run.seen[ended:] if one.wish.edge == "edge-a" and not one.left]
    assert on_a_full_disk
    assert {(one.status, one.error_code) for one in on_a_full_disk} == {(503, "service_unavailable")}
    assert any(one.done for one in run.seen[ended:]), "the other edge serves"
    await asyncio.sleep(0.5)
    ended = len(run.seen)
    run.begin()
    await asyncio.sleep(1)
    (await run.verdict()).hold()
    assert any(one.done for one in run.seen[ended:] if one.wish.edge == "edge-a"), "it serves again"
    await cluster.stop("edge-a")
    await cluster.start("edge-a")


@LONG
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_off_by_an_hour(cluster: Cluster, office: Office, tmp_path: Path, hours: int) -> None:
    """No lease ends early, none goes on too long: what counts is how long, not when."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(hours=hours))
    await cluster.stop("edge-b")
    await cluster.start("edge-b", PYTHONPATH=str(tmp_path))
    run = Run(cluster, office, f"edge clock {hours:+} h")
    await run.open()
    run.begin()
    # Several times what a lease lasts, and many renewals.
    await asyncio.sleep(min(20.0, SIZE.outage_s))
    verdict = await run.verdict()
    await cluster.stop("edge-b")
    await cluster.start("edge-b")
    verdict.hold()
    refused = {(one.status, one.error_code) for one in run.seen if one.error_code}
    assert {code for _, code in refused if not code.startswith("upstream_")} == set()


async def test_a_price_that_changes_in_the_middle_of_a_stream(cluster: Cluster, office: Office) -> None:
    """It ends at the price that it began with; the next one has the new price."""
    customer = await office.customer(RICH_NANOS)

    async def ask(name: str, **more: float) -> Seen:
        wish = Wish(
            nonce=f"{SEED}/price/{customer.account_id}/{name}",
            secret=customer.secrets[0],
            account_id=customer.account_id,
            edge="edge-a",
            streamed=bool(more),
            max_tokens=60,
            script=dict(more),
        )
        async with aiohttp.ClientSession() as session:
            return await send(session, cluster, wish)

    async def costs(nanos: int) -> bool:
        return (await ask(f"{nanos}/{asyncio.get_running_loop().time()}")).cost_nanos == nanos

    old, new = 7 * 100 + 60 * 300, 7 * 200 + 60 * 600
    assert await costs(old)
    streaming = asyncio.create_task(ask("stream", before_token_s=0.05))
    await asyncio.sleep(0.3)
    await _set_price(office, times=2)
    try:
        await eventually(lambda: costs(new), what="the new price")
        assert not streaming.done()
        streamed = await streaming
    finally:
        await _set_price(office, times=1)
        await eventually(lambda: costs(old), what="the old price again")
    await books.quiet(cluster)
    found = await books.read(cluster, [customer.account_id])
    assert found.records[streamed.request_id].cost_nanos == old
    assert found.charges[streamed.request_id] == [old]


async def _set_price(office: Office, *, times: int) -> None:
    price = catalog_pb2.Price(
        input_nanos_per_mtok=times * INPUT_NANOS_PER_MTOK, output_nanos_per_mtok=times * OUTPUT_NANOS_PER_MTOK
    )
    await office.catalog.SetModelPrice(catalog_pb2.SetModelPriceRequest(public_name=MODEL, price=price))
