"""Us: a whole stack with everything on, whose edge has a core for itself, and whose books must equal the tally."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from uuid import UUID

import asyncpg
import httpx

from bench import processes
from bench.peers.contestants import Contestant
from bench.peers.upstream import Tally, Upstream
from bench.stack import edges_of, stack_of_its_own, without_limits
from tests.support.customers import Customer, customer
from tests.support.stack import RunningStack

NAME = "PrivateRouter"
MODEL = "privaterouter/fast"
SETTLED_WITHIN_S = 120.0


class BooksDiffer(Exception):
    """What was billed is not what the upstream made; the message has both."""


@dataclass(frozen=True)
class Books:
    """The sums of one account."""

    records: int = 0
    open_records: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    charges: int = 0
    charged_nanos: int = 0


@dataclass(frozen=True)
class Ours:
    """A running stack, and somebody for each kind of answer."""

    stack: RunningStack
    payer: Customer
    """With credit for everything."""
    poor: Customer
    """Without any."""
    contestant: Contestant

    def with_key(self, key: str) -> Contestant:
        """The same, asked with another key."""
        return replace(self.contestant, headers=(f"authorization: Bearer {key}",))

    def refused_by_key(self) -> Contestant:
        """401: a key that there is none of."""
        return self.with_key(f"{self.payer.key[:-6]}{'x' * 6}")

    def refused_by_balance(self) -> Contestant:
        """402."""
        return self.with_key(self.poor.key)

    def refused_by_limit(self) -> Contestant:
        """429: a new key that may ask once a minute, and has."""
        key = self.payer.new_key(rpm_limit=1)
        body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
        url = f"{self.payer.v1}/chat/completions"
        before = self.books()
        httpx.post(url, json=body, headers={"authorization": f"Bearer {key}"}, timeout=20).raise_for_status()
        self._await_charge(before)
        return self.with_key(key)

    def _await_charge(self, before: Books) -> None:
        """Until the one request since then is in the ledger, so that no later comparison finds it."""
        give_up_s = time.monotonic() + SETTLED_WITHIN_S
        while self.books().charges == before.charges:
            if time.monotonic() > give_up_s:
                raise BooksDiffer("a request was not charged")
            time.sleep(0.05)

    def books(self) -> Books:
        """The payer's sums now."""
        return asyncio.run(_books(self.stack.places.database_url, self.payer.account_id))

    def settle(self, *, before: Books, tally: Tally) -> float:
        """Wait until what was billed since is what the upstream has made; seconds that it took. Raises BooksDiffer."""
        begun_s = time.monotonic()
        while differences := differs(before, self.books(), tally=tally):
            if time.monotonic() - begun_s > SETTLED_WITHIN_S:
                raise BooksDiffer("; ".join(differences))
            time.sleep(0.2)
        return time.monotonic() - begun_s


def differs(before: Books, after: Books, *, tally: Tally) -> list[str]:
    """What is not the same in the books and in the tally; empty where all is."""
    pairs = {
        "requests": (tally.requests, after.records - before.records),
        "requests still open": (0, after.open_records),
        "charges": (tally.requests, after.charges - before.charges),
        "prompt tokens": (tally.prompt_tokens, after.input_tokens - before.input_tokens),
        "completion tokens": (tally.completion_tokens, after.output_tokens - before.output_tokens),
        "nano-dollars": (after.cost_nanos - before.cost_nanos, after.charged_nanos - before.charged_nanos),
    }
    return [
        f"{name}: {wanted} expected, {found} in the books" for name, (wanted, found) in pairs.items() if wanted != found
    ]


@contextmanager
def running(upstream: Upstream, *, gateway_core: int, other_core: int) -> Iterator[Ours]:
    """Start it all, with the edge alone on its core; plans and credit are no obstacle."""
    with ExitStack() as entered:
        stack = entered.enter_context(stack_of_its_own(upstream.url))
        payer, poor = (entered.enter_context(customer(stack)) for _ in range(2))
        without_limits(stack, payer, poor)
        payer.set_balance(10**15)
        poor.set_balance(0)

        edge = partial(edges_of, stack)

        def others() -> list[int]:
            return list(set(processes.tree(stack.process.pid)).difference(edge()))

        processes.pin(others(), other_core)
        processes.pin(edge(), gateway_core)
        contestant = Contestant(
            name=NAME,
            port=int(stack.places.api_url.rpartition(":")[2]),
            model=MODEL,
            headers=(f"authorization: Bearer {payer.key}",),
            version=version("privaterouter"),
            pids=edge,
            helpers=others,
        )
        yield Ours(stack=stack, payer=payer, poor=poor, contestant=contestant)


async def _books(database_url: str, account_id: str) -> Books:
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            records = await connection.fetchrow(
                "SELECT count(*) FILTER (WHERE status <> 'open') AS records,"
                " count(*) FILTER (WHERE status = 'open') AS open_records,"
                " coalesce(sum(input_tokens), 0)::bigint AS input_tokens,"
                " coalesce(sum(output_tokens), 0)::bigint AS output_tokens,"
                " coalesce(sum(cost_nanos), 0)::bigint AS cost_nanos"
                " FROM usage.usage_records WHERE account_id = $1",
                UUID(account_id),
            )
            charges = await connection.fetchrow(
                "SELECT count(*) AS charges, coalesce(-sum(amount_nanos), 0)::bigint AS charged_nanos"
                " FROM billing.ledger_transactions WHERE kind = 'charge' AND account_id = $1",
                UUID(account_id),
            )
    finally:
        await connection.close()
    assert records and charges  # noqa: S101, PT018 - sums always have a row
    return Books(**dict(records), **dict(charges))
