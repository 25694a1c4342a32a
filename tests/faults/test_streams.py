"""Clients that leave and upstreams that break off, at every place where they can; restarts under open streams."""

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults import books
from tests.faults.clients import Seen, Wish, send
from tests.faults.cluster import EDGES, Cluster
from tests.faults.driver import RICH_NANOS, SEED, SIZE, note, randomness
from tests.faults.office import Customer, Office
from tests.faults.pace import PACE
from tests.faults.verdict import judge
from tests.support.waiting import eventually

AT_ONCE = 16
TOKENS = 8
STREAM_BYTES = 2_400
"""At least the recorded stream of so many tokens."""

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(3600)]


async def test_a_client_that_leaves_anywhere(cluster: Cluster, office: Office) -> None:
    """After every chunk, before the head, streamed and not: one final record each, and the upstream is stopped."""
    begun_s = asyncio.get_running_loop().time()
    customer = await office.customer(RICH_NANOS)
    await _warm(cluster, customer)
    before = {edge: (_descriptors(cluster, edge), await _tasks(cluster, edge)) for edge in EDGES}
    rng = randomness("leaving")
    wishes = []
    for number in range(SIZE.aborts):
        streamed, slow = number % 4 != 0, {"before_token_s": 0.02, "prompt_tokens": 7}
        if streamed and number % 4 != 1:
            leaving: dict[str, Any] = {"leave_after_chunks": number % (TOKENS + 2) + 1}
        else:
            leaving = {"leave_after_s": rng.uniform(0.001, 0.2)}
        wishes.append(_wish(f"leave/{number}", customer, number, streamed=streamed, script=slow, **leaving))
    seen, late = await _all(cluster, wishes)
    verdict = await judge(cluster, [customer], seen)
    note("clients that leave", verdict, begun_s=begun_s)
    verdict.hold()
    assert late == [], "the upstream went on for more than a second"
    assert sum(one.left for one in seen) > SIZE.aborts // 2
    found = await books.read(cluster, [customer.account_id], asked=_nonce(customer, "leave/"))
    forwarded = {entry.nonce for entry in found.tally.values()} & {wish.nonce for wish in wishes}
    assert len(forwarded) <= len(found.records) - len(EDGES) <= len(wishes)

    async def none_leaked() -> bool:
        now = {edge: (_descriptors(cluster, edge), await _tasks(cluster, edge)) for edge in EDGES}
        return all(now[edge][0] <= before[edge][0] + 4 and now[edge][1] <= before[edge][1] for edge in EDGES)

    # A connection to the upstream is kept for some seconds.
    await eventually(none_leaked, within_s=20, what="descriptors and tasks")


async def test_an_upstream_that_breaks_off_after_every_byte(cluster: Cluster, office: Office) -> None:
    """One record for each, by the rules: nothing charged before the finish reason, all of it after."""
    begun_s = asyncio.get_running_loop().time()
    customer = await office.customer(RICH_NANOS)
    await _warm(cluster, customer)
    wishes = [
        _wish(f"cut/{at}", customer, at, script={"cut_after_bytes": at}) for at in range(0, STREAM_BYTES, SIZE.cut_step)
    ]
    seen, _ = await _all(cluster, wishes)
    verdict = await judge(cluster, [customer], seen)
    note("upstream cut at every byte", verdict, begun_s=begun_s)
    verdict.hold()
    assert verdict.statuses.total() == len(wishes) + len(EDGES)
    assert verdict.statuses["error"] > 0
    assert [one.done for one in seen if one.wish.nonce == wishes[-1].nonce] == [True], "the last cut is not the end"


async def test_what_an_upstream_claims_is_not_believed(cluster: Cluster, office: Office) -> None:
    """Nonsense is replaced by our own count, and costs no more than what was held."""
    begun_s = asyncio.get_running_loop().time()
    customer = await office.customer(RICH_NANOS)
    lies: list[Any] = [
        *("omit", "7", None, [], {}, -1, 10**30, {"prompt_tokens": -7, "completion_tokens": 8, "total_tokens": 1}),
        {"prompt_tokens": 10**18, "completion_tokens": 8, "total_tokens": 10**18 + 8},
        {"prompt_tokens": "7", "completion_tokens": 8, "total_tokens": 15},
        {"prompt_tokens": 7.5, "completion_tokens": 8, "total_tokens": 15},
        {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 16},
        {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7},
        {"prompt_tokens": None, "completion_tokens": 8},
    ]
    wishes = [
        _wish(f"lie/{number}/{streamed}", customer, number, streamed=streamed, script={"usage": lie})
        for number, lie in enumerate(lies)
        for streamed in (True, False)
    ]
    wishes.append(_wish("twice", customer, 0, script={"usage_position": "twice"}))
    wishes.append(_wish("last", customer, 1, script={"usage_position": "last"}))
    seen, _ = await _all(cluster, wishes)
    verdict = await judge(cluster, [customer], seen)
    note("upstreams that lie", verdict, begun_s=begun_s)
    verdict.hold()
    assert verdict.statuses == {"success": len(wishes)}


async def test_restarts_one_after_the_other_under_open_streams(cluster: Cluster, office: Office) -> None:
    """New requests find the other edge; streams that outlast the drain end with an error event and cost nothing."""
    begun_s = asyncio.get_running_loop().time()
    customer = await office.customer(RICH_NANOS)
    await _warm(cluster, customer)
    seen: list[Seen] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for turn, edge in enumerate(EDGES):
            streams = [
                asyncio.create_task(send(session, cluster, wish))
                for wish in (
                    _wish(
                        f"{turn}/stream/{number}",
                        customer,
                        number,
                        edge=edge,
                        max_tokens=10 if number % 2 else 400,
                        script={"before_token_s": 0.1},
                    )
                    for number in range(SIZE.streams)
                )
            ]
            await eventually(partial(_all_open, cluster, customer, turn), within_s=20, what="all streams")
            stopping = asyncio.create_task(cluster.stop(edge))
            await asyncio.sleep(0.1)
            other = EDGES[1 - turn]
            number = 0
            while not stopping.done():
                number += 1
                fresh = await send(session, cluster, _wish(f"{turn}/new/{number}", customer, number, edge=other))
                assert fresh.done, f"a new request failed: {fresh}"
                seen.append(fresh)
            assert await stopping == 0
            await cluster.start(edge)
            ended = await asyncio.gather(*streams)
            seen += ended
            assert {one.error_code for one in ended if not one.done} == {"service_unavailable"}
            assert sum(one.done for one in ended) == SIZE.streams // 2
    verdict = await judge(cluster, [customer], [*seen, *WARM.pop(customer.account_id)])
    note("rolling restarts", verdict, begun_s=begun_s)
    verdict.hold()


async def _all_open(cluster: Cluster, customer: Customer, turn: int) -> bool:
    """Whether the upstream has begun with all streams of a turn."""
    prefix = _nonce(customer, f"{turn}/stream/")
    begun = (await books.tally(cluster, asked=prefix)).values()
    return len([entry for entry in begun if entry.output_tokens]) == SIZE.streams


WARM: dict[str, list[Seen]] = {}
"""By account: the request that went ahead of the others."""


async def _warm(cluster: Cluster, customer: Customer) -> None:
    """A first request, so that the edge knows the key and what it opens stays open."""
    async with aiohttp.ClientSession() as session:
        first = [
            await send(session, cluster, _wish(f"first/{edge}", customer, 0, edge=edge, max_tokens=1)) for edge in EDGES
        ]
    assert all(one.done for one in first)
    WARM[customer.account_id] = first


async def _all(cluster: Cluster, wishes: list[Wish]) -> tuple[list[Seen], list[str]]:
    """Sends all, some at a time; what was seen, and the nonces whose upstream went on after its client had left."""
    waiting: Iterator[Wish] = iter(wishes)
    seen: list[Seen] = []
    late: list[str] = []

    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            for wish in waiting:
                one = await send(session, cluster, wish)
                seen.append(one)
                if one.left and not await _stopped(cluster, wish.nonce):
                    late.append(wish.nonce)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for account_id in {wish.account_id for wish in wishes} & WARM.keys():
        seen = [*WARM.pop(account_id), *seen]
    return seen, late


async def _stopped(cluster: Cluster, nonce: str) -> bool:
    """Whether the upstream has nothing more to do with a request within a second."""
    give_up_s = asyncio.get_running_loop().time() + 1
    while asyncio.get_running_loop().time() < give_up_s:
        entries = await books.tally(cluster, nonce=nonce)
        if all(entry.finished or entry.aborted for entry in entries.values()):
            return True
        await asyncio.sleep(0.1)
    return False


def _wish(
    name: str,
    customer: Customer,
    number: int,
    *,
    edge: str | None = None,
    streamed: bool = True,
    max_tokens: int = TOKENS,
    script: dict[str, Any] | None = None,
    **leaving: Any,
) -> Wish:
    return Wish(
        nonce=_nonce(customer, name),
        secret=customer.secrets[0],
        account_id=customer.account_id,
        edge=edge or EDGES[number % 2],
        streamed=streamed,
        max_tokens=max_tokens,
        script=script or {},
        **leaving,
    )


def _nonce(customer: Customer, name: str) -> str:
    return f"{SEED}/{customer.account_id}/{name}"


async def _tasks(cluster: Cluster, edge: str) -> int:
    """Tasks of an edge of which nothing is asked; the fewest of some looks, since it renews and reports at times."""
    looks = []
    for _ in range(10):
        await asyncio.sleep(PACE.tick_s)
        looks.append(await books.gauge(cluster, edge, "edge_tasks"))
    return min(looks)


def _descriptors(cluster: Cluster, edge: str) -> int:
    return len(os.listdir(Path(f"/proc/{cluster.pid(edge)}/fd")))  # noqa: PTH208 (only their number counts)
