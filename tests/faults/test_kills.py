"""Processes die at random, the network fails at random, replies are lost: the bill is what was made."""

import asyncio
import os
from uuid import uuid4

import pytest

from privaterouter.billing.v1 import billing_pb2
from tests.faults import books
from tests.faults.cluster import Cluster
from tests.faults.driver import LONG, SIZE, Run
from tests.faults.long_stream import reported_stream
from tests.faults.office import Office

MORTALS = ("edge-a", "edge-b", "usage", "billing", "postgres", "valkey", "auth", "catalog")
OFTEN = ("edge-a", "edge-b", "usage", "billing", "postgres")
"""What money goes through."""


def _every(mode: str, *calls: str, at: str) -> str:
    """FAULTS that hit these calls at their commit."""
    return ",".join(f"{call}.{at}_commit={mode}" for call in calls)


pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(7200)]


async def test_death_at_random_under_load(cluster: Cluster, office: Office) -> None:
    """One at a time and several at once, down for nothing or for seconds; judged shift by shift, and as a whole."""
    run = Run(cluster, office, "death at random")
    await run.open()
    while run.kills < SIZE.kills:
        run.begin()
        enough = min(run.kills + SIZE.shift, SIZE.kills)
        while run.kills < enough:
            await asyncio.sleep(run.rng.uniform(0, 0.6))
            several = run.rng.random() < 0.3
            victims = run.rng.sample(MORTALS, k=run.rng.randrange(2, 4)) if several else [run.rng.choice(OFTEN)]
            down_s = run.rng.choice((0, 0, 0, 0.3, 1.5))
            for victim in victims:
                cluster.kill(victim)
            run.kills += len(victims)
            await asyncio.sleep(down_s)
            await cluster.revive()
        await run.relieve()
    (await run.whole()).hold()


async def test_every_link_stopped_and_resumed_in_random_order(cluster: Cluster, office: Office) -> None:
    """A swizzle: one after the other falls silent, and they come back in another order; then all kinds of harm."""
    run = Run(cluster, office, "swizzle")
    await run.open()
    for _ in range(SIZE.swizzles):
        run.begin()
        links = list(cluster.links.values())
        await asyncio.sleep(0.3)
        for link in run.rng.sample(links, k=len(links)):
            link.hold()
            await asyncio.sleep(run.rng.uniform(0, 0.1))
        for link in run.rng.sample(links, k=len(links)):
            link.resume()
            await asyncio.sleep(run.rng.uniform(0, 0.1))
        for link in run.rng.sample(links, k=len(links) // 3):
            link.harm(run.rng)
            await asyncio.sleep(run.rng.uniform(0, 0.2))
        cluster.heal()
        await asyncio.sleep(0.3)
        for link in links:
            link.reset()
        (await run.verdict(swallowed=True)).hold()


FAILING = {
    "replies lost after commit": {
        "billing": _every("drop:2", "billing.acquire", "billing.renew", "billing.close", "billing.settle", at="after"),
        "usage": _every("drop:2", "usage.record", at="after"),
    },
    "errors before commit": {
        "billing": _every(
            "raise:3", "billing.acquire", "billing.renew", "billing.close", "billing.settle", at="before"
        ),
        "usage": _every("raise:3", "usage.record", at="before") + ",usage.relay.after_settle=raise:3",
    },
    "everything slow": {
        "billing": _every("delay:150", "billing.acquire", "billing.settle", at="before"),
        "usage": _every("delay:150", "usage.record", at="after"),
        "edge-a": "edge.ship.after_call=delay:100,edge.acquire.after_call=delay:50,edge.finish.after_commit=delay:20",
    },
}


@pytest.mark.parametrize("name", [next(iter(FAILING)), *(pytest.param(name, marks=LONG) for name in [*FAILING][1:])])
async def test_calls_that_fail_again_and_again(cluster: Cluster, office: Office, name: str) -> None:
    """So batches are sent again, in other company: one transaction each. A replay of all changes nothing either."""
    run = Run(cluster, office, name)
    await run.open()
    for process, faults in FAILING[name].items():
        cluster.kill(process)
        await cluster.start(process, faults=faults)
    run.begin()
    await asyncio.sleep(min(5.0, SIZE.outage_s))
    verdict = await run.verdict()
    for process in FAILING[name]:
        cluster.kill(process)
        await cluster.start(process)
    verdict.hold()
    await replay(run, office)
    (await run.verdict()).hold()


async def replay(run: Run, office: Office) -> None:
    """Settles every charge twice more, out of order, among others that make no sense: those alone are refused."""
    asked: list[tuple[billing_pb2.Charge, str]] = []
    for known in await books.charges(run.cluster, [customer.account_id for customer in run.customers]):
        other, unknown = billing_pb2.Charge(), billing_pb2.Charge()
        other.CopyFrom(known)
        other.amount_nanos *= 2
        unknown.CopyFrom(known)
        unknown.account_id, unknown.request_id = str(uuid4()), str(uuid4())
        asked += [(known, "KNOWN"), (known, "KNOWN"), (other, "CONFLICT"), (unknown, "UNKNOWN_ACCOUNT")]
    assert asked
    run.rng.shuffle(asked)
    for start in range(0, len(asked), 500):
        some = asked[start : start + 500]
        answer = await office.billing.SettleCharges(
            billing_pb2.SettleChargesRequest(charges=[charge for charge, _ in some])
        )
        outcomes = [billing_pb2.ChargeOutcome.Name(result.outcome) for result in answer.results]
        assert outcomes == [f"CHARGE_OUTCOME_{expected}" for _, expected in some]


@LONG
async def test_a_node_lost_with_its_disk_and_found_again(cluster: Cluster, office: Office) -> None:
    """Nobody adopts its journal: usage ends what it left open, as last reported; the disk corrects that to the cent."""
    run = Run(cluster, office, "node lost, disk found again")
    await run.open()
    away = str(cluster.directory / "away")
    for fault in ("usage.lost.before_commit", "usage.lost.after_commit"):
        cluster.kill("edge-b")
        await cluster.start("edge-b", EDGE_JOURNAL_DIR=away)
        cluster.kill("usage")
        await cluster.start("usage", faults=f"{fault}=kill")
        run.begin()
        await asyncio.sleep(0.5)
        # What usage has to end: one stream at least that has been reported.
        streaming = await reported_stream(run, fault)
        cluster.kill("edge-b")
        run.seen.append(await streaming)
        run.kills += 4
        assert await cluster.gone("usage", within_s=40) == -9
        await cluster.start("usage")
        await run.rest()
        # All that can be known without the disk is booked, and nothing is leased any more.
        await books.quiet(cluster)
        # The disk is back, with finals that nobody had seen, in an edge that looks for lost journals there.
        await cluster.start("edge-b", EDGE_JOURNAL_DIR=away)
        (await run.verdict()).hold()
        await cluster.stop("edge-b")
        assert os.listdir(away) == []  # noqa: PTH208 (its names are shown)
        await cluster.start("edge-b")
