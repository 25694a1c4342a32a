"""Processes die at random, the network fails at random, replies are lost: the bill is what was made."""

import asyncio
import os

import pytest

from tests.faults import books
from tests.faults.cluster import Cluster
from tests.faults.driver import LONG, SIZE, Run
from tests.faults.office import Office

MORTALS = ("edge-a", "edge-b", "usage", "billing", "postgres", "valkey", "auth", "catalog")
OFTEN = ("edge-a", "edge-b", "usage", "billing", "postgres")
"""What money goes through."""

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(7200)]


async def test_death_at_random_under_load(cluster: Cluster, office: Office) -> None:
    """One at a time and several at once, down for nothing or for seconds; judged after every ten."""
    run = Run(cluster, office, "death at random")
    await run.open()
    while run.kills < SIZE.kills:
        run.begin()
        for _ in range(min(10, SIZE.kills - run.kills)):
            await asyncio.sleep(run.rng.uniform(0, 0.8))
            victims = run.rng.sample(MORTALS, k=2) if run.rng.random() < 0.2 else [run.rng.choice(OFTEN)]
            down_s = run.rng.choice((0, 0, 0.3, 1.5))
            for victim in victims:
                cluster.kill(victim)
            run.kills += len(victims)
            await asyncio.sleep(down_s)
            for victim in cluster.dead():
                await cluster.start(victim)
        (await run.verdict()).hold()


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


async def test_every_second_reply_is_lost_after_the_commit(cluster: Cluster, office: Office) -> None:
    """So every batch is sent again, in other company: one transaction each."""
    run = Run(cluster, office, "replies lost after commit")
    await run.open()
    lost = {
        "billing": "acquire,renew,close,settle",
        "usage": "record",
    }
    for service, calls in lost.items():
        cluster.kill(service)
        faults = ",".join(f"{service}.{call}.after_commit=drop:2" for call in calls.split(","))
        await cluster.start(service, faults=faults)
    run.begin()
    await asyncio.sleep(min(5.0, SIZE.outage_s))
    verdict = await run.verdict()
    for service in lost:
        cluster.kill(service)
        await cluster.start(service)
    verdict.hold()


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
        await asyncio.sleep(1.5)
        cluster.kill("edge-b")
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
