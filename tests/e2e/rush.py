"""Two hundred requests at once on an account that can pay for fifty: what happened, and what must have."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg

from kit.money import cost_nanos, parse_usd
from tests.support.customers import Customer
from tests.support.waiting import eventually

REQUESTS = 200
PAID_FOR = 50
MODEL = "privaterouter/costly"
INPUT_NANOS_PER_MTOK, OUTPUT_NANOS_PER_MTOK = 2_000_000_000, 10_000_000_000
MAX_TOKENS = 400
TEMPLATE_TOKENS = 128
BODY_BYTES = 272
"""Length of the request's body: with the constant for the template it may cost 400 tokens of prompt."""

_AVAILABLE = "SELECT posted_nanos - leased_nanos FROM billing.accounts WHERE account_id = $1"


@dataclass(frozen=True)
class Rush:
    """What was seen from outside: by the clients, by the upstream, in the accounts' table, and on the bill."""

    statuses: Counter[int]
    lowest_available_nanos: int
    start_nanos: int
    end_nanos: int
    tallied_nanos: dict[str, int]
    """By the ids of the requests, at their price."""
    charged_nanos: dict[str, int]


def body() -> bytes:
    """A request whose upstream uses all that it may: the whole bound of its prompt, and the whole limit."""
    script = json.dumps({"prompt_tokens": BODY_BYTES + TEMPLATE_TOKENS})
    request: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "user": script,
        "messages": [{"role": "user", "content": ""}],
    }
    request["messages"][0]["content"] = "x" * (BODY_BYTES - len(json.dumps(request)))
    return json.dumps(request).encode()


def highest_cost_nanos() -> int:
    """What is held for one of them."""
    return cost_nanos((BODY_BYTES + TEMPLATE_TOKENS, INPUT_NANOS_PER_MTOK), (MAX_TOKENS, OUTPUT_NANOS_PER_MTOK))


async def prepare(someone: Customer) -> None:
    """Put the model up for sale, and exactly enough for fifty requests into the account."""
    added = someone.stack.command(
        *("admin", "add-model", "--name", MODEL, "--upstream-model", "counting"),
        *("--input-usd", str(INPUT_NANOS_PER_MTOK // 10**9), "--output-usd", str(OUTPUT_NANOS_PER_MTOK // 10**9)),
    )
    assert added.returncode == 0, added.stderr
    someone.move_to("team")
    someone.set_balance(PAID_FOR * highest_cost_nanos())

    async def is_for_sale() -> bool:
        models = someone.http.get("/v1/models", headers={"authorization": f"Bearer {someone.key}"})
        return MODEL in models.text

    await eventually(is_for_sale, what="the model at the edge")


async def rush(someone: Customer, upstream: str) -> Rush:
    """Send all at once, and wait until what the upstream has tallied is charged, or the charges stand still."""
    start = someone.balance_nanos()
    async with sampled(someone) as samples, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        answers = await asyncio.gather(*(_ask(session, someone) for _ in range(REQUESTS)))
        tallied = await _tally(session, upstream, {request_id for request_id, _ in answers})

        async def settled() -> bool:
            return charges(someone) == tallied

        with suppress(AssertionError):  # `hold_up` says what is missing
            await eventually(settled, within_s=15, what="the charges")
    return Rush(
        statuses=Counter(status for _, status in answers),
        lowest_available_nanos=min(samples),
        start_nanos=start,
        end_nanos=someone.balance_nanos(),
        tallied_nanos=tallied,
        charged_nanos=charges(someone),
    )


def hold_up(seen: Rush) -> None:
    """What must be true of every rush; AssertionError says what is not."""
    assert seen.lowest_available_nanos >= 0, f"available fell to {seen.lowest_available_nanos}"
    assert not {status for status in seen.statuses if status >= 500}, f"answers: {seen.statuses}"
    assert set(seen.statuses) <= {200, 402, 429}, f"answers: {seen.statuses}"
    assert seen.statuses[200] >= PAID_FOR, f"answers: {seen.statuses}"
    assert seen.charged_nanos == seen.tallied_nanos
    assert len(seen.tallied_nanos) == seen.statuses[200]
    assert seen.end_nanos == seen.start_nanos - sum(seen.tallied_nanos.values())
    assert seen.end_nanos >= 0


def charges(someone: Customer) -> dict[str, int]:
    """What each request was charged."""
    found = someone.all_of("/api/billing/transactions", kind="charge")
    return {charge["request_id"]: -parse_usd(charge["amount_usd"]) for charge in found}


@asynccontextmanager
async def sampled(someone: Customer) -> AsyncIterator[list[int]]:
    """What the account has available, read from the database as often as can be, from now to the end."""
    connection = await asyncpg.connect(someone.stack.places.database_url)
    samples = [await connection.fetchval(_AVAILABLE, someone.account_id)]

    async def sample() -> None:
        while True:
            samples.append(await connection.fetchval(_AVAILABLE, someone.account_id))
            await asyncio.sleep(0.002)

    task = asyncio.create_task(sample())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()


async def _ask(session: aiohttp.ClientSession, someone: Customer) -> tuple[str, int]:
    headers = {"authorization": f"Bearer {someone.key}", "content-type": "application/json"}
    async with session.post(f"{someone.v1}/chat/completions", data=body(), headers=headers) as answer:
        await answer.read()
        return answer.headers["x-request-id"], answer.status


async def _tally(session: aiohttp.ClientSession, upstream: str, request_ids: set[str]) -> dict[str, int]:
    async with session.get(f"{upstream}/tally") as answer:
        tally = await answer.json()
    return {
        request_id: cost_nanos(
            (entry["prompt_tokens"], INPUT_NANOS_PER_MTOK), (entry["output_tokens"], OUTPUT_NANOS_PER_MTOK)
        )
        for request_id, entry in tally.items()
        if request_id in request_ids
    }
