"""How long after the end of a request its usage row and its debit can be seen: `make bench-lag`.

Starts a stack of its own on an upstream that answers at once, and sends one request after the other for some seconds,
from a few accounts side by side. After each, the usage event and the balance are asked for over HTTP until they show
it; so a figure contains up to one look and the pause of 10 ms between two. What a look takes is given as well.
"""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import aiohttp

from bench.stack import stack_of_its_own
from kit.money import format_usd, parse_usd
from tests.support.customers import Customer, customer
from tests.support.waiting import eventually

SECONDS = 15.0
ACCOUNTS = 2
GIVE_UP_S = 10.0
PROMISE_S = 0.5
"""What the 99th percentile should stay under when nothing is behind."""
REQUEST = {"model": "privaterouter/fast", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class Lags:
    """Seconds from the end of a request to the sight of its effects, and what one look takes."""

    row: list[float] = field(default_factory=list)
    balance: list[float] = field(default_factory=list)
    look: list[float] = field(default_factory=list)


async def measure(someone: Customer, lags: Lags, *, until_s: float) -> None:
    """One account's requests, one after the other."""
    balance_nanos = someone.balance_nanos()
    api = {"authorization": someone.http.headers["authorization"]}
    async with aiohttp.ClientSession(base_url=someone.stack.places.api_url) as session:

        async def look(path: str) -> tuple[int, dict[str, str]]:
            begin = time.monotonic()
            async with session.get(path, headers=api) as answer:
                found = answer.status, await answer.json()
            lags.look.append(time.monotonic() - begin)
            return found

        while time.monotonic() < until_s:
            key = {"authorization": f"Bearer {someone.key}"}
            async with session.post("/v1/chat/completions", json=REQUEST, headers=key) as answer:
                await answer.read()
                ended_s = time.monotonic()
                answer.raise_for_status()
                balance_nanos -= parse_usd(answer.headers["x-privaterouter-cost-usd"])
                request_id, shown = answer.headers["x-request-id"], format_usd(balance_nanos)

            async def has_row(path: str = f"/api/usage/{request_id}") -> bool:
                return (await look(path))[0] == 200

            async def has_debit(shown: str = shown) -> bool:
                return (await look("/api/billing/balance"))[1]["balance_usd"] == shown

            row_s, debit_s = await asyncio.gather(seen(has_row), seen(has_debit))
            lags.row.append(row_s - ended_s)
            lags.balance.append(debit_s - ended_s)


async def seen(effect: Callable[[], Awaitable[bool]]) -> float:
    """When the effect was first seen; AssertionError when it never was."""
    await eventually(effect, within_s=GIVE_UP_S)
    return time.monotonic()


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def table(lags: Lags) -> str:
    """The figures in milliseconds."""
    rows = [("usage row visible", lags.row), ("balance debited", lags.balance), ("(one look takes)", lags.look)]
    lines = [f"{'milliseconds':<20}{'count':>8}{'p50':>8}{'p99':>8}{'most':>8}"]
    for name, values in rows:
        figures = (percentile(values, 0.5), percentile(values, 0.99), max(values))
        lines.append(f"{name:<20}{len(values):>8}" + "".join(f"{figure * 1000:>8.0f}" for figure in figures))
    return "\n".join(lines)


async def run(people: list[Customer]) -> Lags:
    """All accounts side by side."""
    lags = Lags()
    until_s = time.monotonic() + SECONDS
    await asyncio.gather(*(measure(someone, lags, until_s=until_s) for someone in people))
    return lags


def main() -> int:
    """Print the table; 1 where the promise was not kept."""
    with ExitStack() as opened:
        stack = opened.enter_context(stack_of_its_own())
        people = [opened.enter_context(customer(stack)) for _ in range(ACCOUNTS)]
        for someone in people:
            someone.move_to("team")
        print(f"Measuring for {SECONDS:.0f} s ...", file=sys.stderr)
        lags = asyncio.run(run(people))
    print(table(lags))
    kept = max(percentile(lags.row, 0.99), percentile(lags.balance, 0.99)) <= PROMISE_S
    print(f"Under {PROMISE_S * 1000:.0f} ms at p99: {'yes' if kept else 'NO'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
