"""A stream on the edge that is going to die, of which usage has heard: what usage has to end."""

import asyncio
from uuid import UUID

import aiohttp

from tests.faults.clients import Seen, Wish, send
from tests.faults.driver import SEED, Run

TRIES = 100


async def reported_stream(run: Run, name: str) -> "asyncio.Task[Seen]":
    """The running stream. What was refused before, where hardly anything answers, is among what the run has seen."""
    connection = await run.cluster.connect()
    try:
        for number in range(TRIES):
            streaming = asyncio.create_task(_stream(run, f"{name}/{number}"))
            while not streaming.done():
                found = await connection.fetchval(
                    "SELECT count(*) FROM usage.usage_records WHERE status = 'open' AND account_id = $1"
                    # Only this stream may be so long.
                    " AND output_tokens > 0 AND held_nanos > 100000",
                    UUID(run.customers[0].account_id),
                )
                if found:
                    return streaming
                await asyncio.sleep(0.05)
            run.seen.append(await streaming)
            await asyncio.sleep(0.1)
    finally:
        await connection.close()
    raise AssertionError("no stream was reported")


async def _stream(run: Run, name: str) -> Seen:
    """Twenty seconds on the edge that is going to die."""
    customer = run.customers[0]
    wish = Wish(
        nonce=f"{SEED}/{run.name}/{name}",
        secret=customer.secrets[0],
        account_id=customer.account_id,
        edge="edge-b",
        max_tokens=400,
        script={"before_token_s": 0.05},
    )
    async with aiohttp.ClientSession() as session:
        return await send(session, run.cluster, wish)
