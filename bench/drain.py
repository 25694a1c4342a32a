"""How many waiting usage records a second become charges: `make bench-drain`, DRAIN_RECORDS=100000.

Beside a running stack a journal is written by the edge's own code, as a worker would leave it that died with usage and
billing away: its leases of many accounts, and a final record of each request. The stack's edge adopts it, ships it to
usage, which puts charges in its outbox, and the relay has billing book them. Twice: alone, and while small chats are
served. What is measured is the time from the first record or charge to the last, and the processor time of each
process between; records, charges and balances must be exactly right in the end.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import aiohttp
import asyncpg

from bench.guard import MESSAGES
from bench.processes import command_of, cpu_s, tree
from bench.sizing import PARTS
from bench.stack import stack_of_its_own, without_limits
from edge.money.journal import Final as FinalRecord
from edge.money.journal import Journal
from edge.money.records import Record, Status
from kit.client import channel
from kit.ids import IdFactory
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from tests.support.customers import Customer, customer
from tests.support.stack import RunningStack

RECORDS: Final = int(os.environ.get("DRAIN_RECORDS", "100000"))
ACCOUNTS: Final = 1_000
MODELS: Final = 10
PRICE_VERSION: Final = "01900000-0000-7000-8000-000000000002"
GOAL: Final = 10_000
SERVED_EACH_S: Final = 50
"""Chats a second, the second time."""
LEASE_NANOS: Final = 100_000_000
A_TICK: Final = 500
"""Records that end in one tick of the worker."""
GIVE_UP_S: Final = 600.0
OPENED_AT_ONCE: Final = 16
COUNTS: Final = """
SELECT (SELECT count(*) FROM usage.usage_records WHERE worker_id = $1 AND status <> 'open'),
       (SELECT count(*) FROM billing.ledger_transactions t JOIN billing.leases l USING (lease_id)
        WHERE l.worker_id = $1 AND t.kind = 'charge')
"""
CHARGED: Final = """
SELECT t.account_id, count(*), -sum(t.amount_nanos)::bigint, min(a.posted_nanos)
FROM billing.ledger_transactions t JOIN billing.leases l USING (lease_id) JOIN billing.accounts a ON
     a.account_id = t.account_id
WHERE l.worker_id = $1 AND t.kind = 'charge' GROUP BY 1
"""


@dataclass(frozen=True)
class Account:
    """One of the callers: their only key, and the lease that the worker has."""

    id: str
    api_key_id: str
    lease_id: str
    posted_nanos: int


@dataclass
class Leg:
    """What was counted of one kind: when it was first seen to be there, and how much at that moment, until the last."""

    first_s: float = 0.0
    first: int = 0
    last_s: float = 0.0
    count: int = 0

    def note(self, count: int, now_s: float) -> None:
        """What is counted now."""
        if count > self.count:
            if not self.count:
                self.first_s, self.first = now_s, count
            self.last_s, self.count = now_s, count

    @property
    def a_second(self) -> float:
        """What came after the first sight, so that it does not matter how long it took to look; 0 for one look."""
        return (self.count - self.first) / (self.last_s - self.first_s) if self.last_s > self.first_s else 0.0


class WrongBooksError(Exception):
    """What was booked is not what was in the journal."""


async def opened(stack: RunningStack, worker_id: str, ids: IdFactory) -> list[Account]:
    """Accounts with the credit that comes with the start, each with a lease of the worker."""
    address = stack.places.address("billing")
    connected = channel(address, pb.DESCRIPTOR.services_by_name["BillingService"])
    stub = BillingServiceStub(connected)
    turns = asyncio.Semaphore(OPENED_AT_ONCE)

    async def one() -> Account:
        async with turns:
            account_id = str(ids())
            answer = await stub.OpenAccount(pb.OpenAccountRequest(account_id=account_id), timeout=60)
            return Account(account_id, str(ids()), str(ids()), answer.account.posted_nanos)

    try:
        accounts = await asyncio.gather(*(one() for _ in range(ACCOUNTS)))
        wishes = [
            pb.LeaseWish(
                lease_id=each.lease_id,
                account_id=each.id,
                api_key_id=each.api_key_id,
                wanted_nanos=LEASE_NANOS,
                least_nanos=LEASE_NANOS,
            )
            for each in accounts
        ]
        await stub.AcquireLeases(pb.AcquireLeasesRequest(worker_id=worker_id, wishes=wishes), timeout=60)
    finally:
        await connected.close()
    return list(accounts)


def ended(account: Account, number: int, *, worker_id: str, ids: IdFactory) -> Record:
    """How a request ended, as the edge notes it."""
    output_tokens = 20 + number % 200
    return Record(
        request_id=ids.text(),
        account_id=account.id,
        api_key_id=account.api_key_id,
        worker_id=worker_id,
        lease_id=account.lease_id,
        start_time_ns=time.time_ns() - 2_000_000_000,
        model_public_name=f"bench/model-{number % MODELS}",
        endpoint="chat.completions",
        price_version_id=PRICE_VERSION,
        upstream_name="default",
        upstream_model="bench",
        status=Status.SUCCESS,
        input_nanos_per_mtok=100_000_000,
        output_nanos_per_mtok=300_000_000,
        input_tokens=400,
        output_tokens=output_tokens,
        cost_nanos=40_000 + 300 * output_tokens,
        held_nanos=200_000,
        streamed=number % 2 == 0,
        latency_ms=900,
        first_token_ms=80,
        http_status=200,
        finish_reason="stop",
    )


async def write_journal(directory: Path, worker_id: str, accounts: list[Account], ids: IdFactory) -> dict[str, int]:
    """The journal of a worker that is gone afterwards; what each account's records cost."""
    journal = Journal.create(directory, worker_id, synchronous="off", limit_bytes=1 << 30, now_ns=time.time_ns)
    for account in accounts:
        journal.note_lease(account.lease_id)
    costs = dict.fromkeys((account.id for account in accounts), 0)
    for number in range(RECORDS):
        # Busy accounts and idle ones, in no order.
        account = accounts[number * 7919 % ACCOUNTS if number % 3 else number % 30]
        record = ended(account, number, worker_id=worker_id, ids=ids)
        costs[account.id] += record.cost_nanos
        journal.note_final(FinalRecord(record.request_id, record.lease_id, record.cost_nanos, record.to_bytes()))
        if number % A_TICK == 0:
            await journal.commit()
    await journal.commit()
    journal.close()
    return costs


def cpu(stack: RunningStack) -> dict[str, float]:
    """Seconds of a core that each part of the stack has used."""
    used = dict.fromkeys(PARTS, 0.0)
    for pid in tree(stack.process.pid):
        command = command_of(pid)
        if part := next((name for name, mark in PARTS.items() if mark in command), None):
            used[part] += cpu_s([pid])
    return used


async def drained(stack: RunningStack, worker_id: str, legs: Mapping[str, Leg]) -> None:
    """Returns when the last charge is booked. TimeoutError where it never is."""
    connection = await asyncpg.connect(stack.places.database_url)
    try:
        async with asyncio.timeout(GIVE_UP_S):
            while legs["charges"].count < RECORDS:
                counts = await connection.fetchrow(COUNTS, UUID(worker_id))
                now_s = time.monotonic()
                for leg, count in zip(legs.values(), counts or (), strict=True):
                    leg.note(count, now_s)
                # Rarely, since counting costs the database something too.
                await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def check(stack: RunningStack, worker_id: str, accounts: list[Account], costs: Mapping[str, int]) -> None:
    """Records, charges and balances. WrongBooksError."""
    connection = await asyncpg.connect(stack.places.database_url)
    try:
        rows = {str(row[0]): row for row in await connection.fetch(CHARGED, UUID(worker_id))}
        records = await connection.fetchrow(COUNTS, UUID(worker_id))
    finally:
        await connection.close()
    wrong = [
        account.id
        for account in accounts
        if costs[account.id]
        and (rows[account.id][2], rows[account.id][3]) != (costs[account.id], account.posted_nanos - costs[account.id])
    ]
    if wrong or tuple(records or ()) != (RECORDS, RECORDS):
        raise WrongBooksError(f"{tuple(records or ())} records and charges of {RECORDS}; wrong accounts: {len(wrong)}")


async def serve(someone: Customer, stop: asyncio.Event) -> int:
    """Small chats at a rate, until told to stop; how many were answered."""
    answered = 0
    headers = {"authorization": f"Bearer {someone.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask() -> None:
            nonlocal answered
            async with session.post(f"{someone.v1}/chat/completions", json=MESSAGES | {"max_tokens": 8}) as answer:
                await answer.read()
                answered += answer.status == 200

        async with asyncio.TaskGroup() as asked:
            while not stop.is_set():
                asked.create_task(ask())
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1 / SERVED_EACH_S)
    return answered


async def drain(stack: RunningStack, someone: Customer | None) -> bool:
    """One journal, from its file into the ledger; whether at the wanted rate."""
    ids = IdFactory()
    worker_id = str(ids())
    accounts = await opened(stack, worker_id, ids)
    # Beside the directory first: the edge is to find it whole.
    aside = stack.home.journal.parent / "journal-aside"
    costs = await write_journal(aside, worker_id, accounts, ids)
    legs = {"records": Leg(), "charges": Leg()}
    before = cpu(stack)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(someone, stop)) if someone else None
    for file in aside.iterdir():
        file.rename(stack.home.journal / file.name)
    try:
        await drained(stack, worker_id, legs)
    finally:
        stop.set()
        answered = await serving if serving else 0
    used = {name: after - before[name] for name, after in cpu(stack).items()}
    await check(stack, worker_id, accounts, costs)
    return tell(legs, used, answered=answered)


def tell(legs: Mapping[str, Leg], used: Mapping[str, float], *, answered: int) -> bool:
    """The figures of one drain, for people; whether the goal is reached."""
    load = os.getloadavg()[0]
    print(f"\n{RECORDS} records of {ACCOUNTS} accounts; served meanwhile: {answered} chats; load average {load:.1f}")
    for name, leg in (("edge to usage", legs["records"]), ("usage to billing", legs["charges"])):
        print(f"  {name:<16}{leg.a_second:>10,.0f} a second")
    for name, seconds in used.items():
        print(f"  {name:<16}{seconds / RECORDS * 1e6:>10,.0f} us of processor time a record")
    ok = min(leg.a_second for leg in legs.values()) >= GOAL
    print(f"  goal: {GOAL:,} a second on both ways: {'reached' if ok else 'NOT REACHED'}; the books are exactly right")
    return ok


def main() -> int:
    """Print the figures; 1 where the rate is not reached."""
    with stack_of_its_own() as stack, customer(stack) as someone:
        without_limits(stack, someone)
        alone = asyncio.run(drain(stack, None))
        beside = asyncio.run(drain(stack, someone))
    return 0 if alone and beside else 1


if __name__ == "__main__":
    sys.exit(main())
