"""What tests of the money path share: a world of services, a clock to turn, records to finish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.money.holds import Hold
from edge.money.journal import Journal
from edge.money.leases import Lease
from edge.money.pace import Pace
from edge.money.path import MoneyPath
from edge.money.records import Record, Status
from kit.ids import IdFactory
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.support.fake_money import FakeBilling, FakeUsage

CENT = 10_000_000
"""In nano-dollars."""

new_id = IdFactory()

PACE = Pace(
    renew_s=0.05,
    tick_s=0.02,
    ship_wait_s=0.01,
    ship_backoff_s=0.01,
    ship_backoff_most_s=0.05,
    life_s=0.5,
    adopt_s=0.1,
    patience_s=0.2,
    ask_timeout_s=15.0,
    close_s=15.0,
)
"""Hundreds of times as fast as usual where a test waits for it; what depends on the clock is turned by hand."""


def some_id() -> str:
    return str(new_id())


@dataclass
class Clock:
    """Seconds; stands still until a test turns it."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class World:
    billing: FakeBilling
    usage: FakeUsage
    billing_stub: BillingServiceStub
    usage_stub: UsageServiceStub
    directory: Path
    pace: Pace
    clock: Clock = field(default_factory=Clock)
    workers: list[MoneyPath] = field(default_factory=list)

    def account(self, nanos: int) -> str:
        """A new account with so much."""
        account_id = some_id()
        self.billing.posted[account_id] = nanos
        return account_id

    def worker(self, **pace: Any) -> MoneyPath:
        """A worker that is not started: it renews, ships and adopts only when told to."""
        path = MoneyPath(
            self.billing_stub,
            self.usage_stub,
            journal_dir=self.directory,
            pace=replace(self.pace, **pace),
            clock=self.clock,
        )
        self.workers.append(path)
        return path

    @asynccontextmanager
    async def running(self, **pace: Any) -> AsyncIterator[MoneyPath]:
        """A worker that is started."""
        path = self.worker(**pace)
        await path.start()
        try:
            yield path
        finally:
            await self.stop(path)

    async def stop(self, path: MoneyPath) -> None:
        self.workers.remove(path)
        await path.close()

    async def close(self) -> None:
        for path in list(self.workers):
            await self.stop(path)


async def hold(
    path: MoneyPath, account_id: str, full: int, least: int = 1, *, key: str = "", limit: int | None = None
) -> Hold:
    """A hold for a key of the account; the account's id stands for its only key."""
    return await path.hold(
        account_id=account_id,
        api_key_id=key or account_id,
        monthly_limit_nanos=limit,
        full_nanos=full,
        least_nanos=least,
    )


def record(account_id: str, *, cost: int = 0, status: Status = Status.OPEN, output: int = 0) -> Record:
    return Record(
        request_id=some_id(),
        account_id=account_id,
        api_key_id=account_id,
        start_time_ns=1,
        status=status,
        cost_nanos=cost,
        output_tokens=output,
    )


async def spend(path: MoneyPath, account_id: str, full: int, cost: int) -> Record:
    """A whole request."""
    held = await hold(path, account_id, full)
    made = record(account_id)
    path.open(held, made)
    await end(path, held, made, cost)
    return made


async def end(path: MoneyPath, held: Hold, made: Record, cost: int) -> None:
    """The successful end of a request."""
    made.status = Status.SUCCESS
    made.cost_nanos = cost
    await path.finish(held, made)


def lease_of(path: MoneyPath, account_id: str) -> Lease:
    """The lease in use of an account with one key."""
    pot = path._book.find(account_id, account_id)
    assert pot is not None
    assert pot.lease is not None
    return pot.lease


def fill_the_disk(journal: Journal) -> None:
    """Makes SQLite answer as it does when the disk is full."""
    journal._store._db.execute("PRAGMA max_page_count = 1")
    journal._store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def free_the_disk(journal: Journal) -> None:
    journal._store._db.execute("PRAGMA max_page_count = 1000000")


async def settled() -> None:
    """Lets everything run that can run without waiting."""
    for _ in range(5):
        await asyncio.sleep(0)
