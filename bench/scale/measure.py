"""Measures what transactions and rows of the money path cost: `make bench-costs`.

Real Postgres with fsync, and the handlers of the real services, called without gRPC between. What is counted is time of
processors, of this process (a service) and of all of Postgres, so that a busy machine changes little; bytes of WAL; and
the size of tables and indexes with some 20,000 rows. Results go to costs.json. Takes about a minute.
"""

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
from redis.asyncio import Redis

from bench.scale.costs import Costs, Parts, Size, Work, save
from bench.scale.services import Services, services
from bench.scale.shapes import SIZED, shapes
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket
from services.usage import tables as usage_tables
from services.usage.relay import MOST_CHARGES
from tests.support.databases import Cluster, Databases

SINGLES = 200
BATCHES = 12
COMMITS = 200


class Reading(NamedTuple):
    """Processor seconds of this process and of Postgres, and WAL bytes, since some beginning."""

    service_s: float
    postgres_s: float
    wal_bytes: float


class Meter:
    """Reads the meters of one Postgres."""

    def __init__(self, admin: "asyncpg.Connection[asyncpg.Record]", postmaster: int) -> None:
        self._admin = admin
        self._postmaster = postmaster

    async def read(self) -> Reading:
        """As of now."""
        wal = await self._admin.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return Reading(time.process_time(), running_s(self._postmaster), float(wal))

    async def each(self, calls: Sequence[Callable[[], Awaitable[object]]]) -> Reading:
        """What one of these calls takes, on average."""
        before = await self.read()
        for call in calls:
            await call()
        after = await self.read()
        return Reading(*((b - a) / len(calls) for a, b in zip(before, after, strict=True)))


def running_s(pid: int) -> float:
    """Processor seconds of a process and its children."""
    total_ns = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if pid in (int(stat.parent.name), parent):
                total_ns += int((stat.parent / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total_ns / 1e9


def work(*measured: tuple[int, int, Reading]) -> Work:
    """From batches of (rows, accounts): one of 1 and 1, one of many rows, and perhaps one of as many accounts."""
    return Work(
        service_s=_parts([(rows, owners, reading.service_s) for rows, owners, reading in measured]),
        postgres_s=_parts([(rows, owners, reading.postgres_s) for rows, owners, reading in measured]),
        wal_bytes=_parts([(rows, owners, reading.wal_bytes) for rows, owners, reading in measured]),
    )


def _parts(measured: Sequence[tuple[int, int, float]]) -> Parts:
    (_, _, single), (rows, few, batch), *rest = measured
    owner = max((rest[0][2] - batch) / (rest[0][1] - few), 0.0) if rest else 0.0
    row = max((batch - single - owner * (few - 1)) / (rows - 1), 0.0)
    return Parts(max(single - row - owner, 0.0), row, owner)


async def measure_works(meter: Meter, made: Services) -> dict[str, Work]:
    """One transaction after the other, in batches of three shapes; the first calls, which are slower, do not count."""
    few, many, rows = 5, 500, 500
    for call in [made.record(1, 1) for _ in range(20)]:
        await call()
    found = {
        "record": work(
            (1, 1, await meter.each([made.record(1, 1) for _ in range(SINGLES)])),
            (rows, few, await meter.each([made.record(rows, few) for _ in range(BATCHES)])),
            (rows, many, await meter.each([made.record(rows, many) for _ in range(BATCHES)])),
        )
    }
    opened = [made.open(rows) for _ in range(BATCHES)]
    single = [made.open(1) for _ in range(SINGLES)]
    for name, turn in (("report", made.report), ("report_again", made.report), ("finish", made.finish)):
        found[name] = work(
            (1, 1, await meter.each([turn(each) for each in single])),
            (rows, rows, await meter.each([turn(each) for each in opened])),
        )
    found["relay"] = await measure_relay(meter, made)
    found["settle"] = work(
        (1, 1, await meter.each([made.settle(1, 1) for _ in range(SINGLES)])),
        (1_000, few, await meter.each([made.settle(1_000, few) for _ in range(BATCHES)])),
        (1_000, many, await meter.each([made.settle(1_000, many) for _ in range(BATCHES)])),
    )
    return found | await measure_leases(meter, made)


async def measure_relay(meter: Meter, made: Services) -> Work:
    """Rounds over what the records have left in the outbox; billing answers at once."""
    async with made.relaying() as round_of:
        small = await meter.each([round_of(1) for _ in range(SINGLES)])
        large = await meter.each([round_of(MOST_CHARGES) for _ in range(BATCHES)])
    return work((1, 1, small), (MOST_CHARGES, 1, large))


async def measure_leases(meter: Meter, made: Services) -> dict[str, Work]:
    """Leases from their beginning to their end."""
    size = 200
    single, batches = [made.lease_ids(1) for _ in range(SINGLES)], [made.lease_ids(size) for _ in range(BATCHES)]
    found = {}
    for name, turn in (
        ("acquire", made.acquire),
        ("renew", made.renew),
        ("take_back", made.take_back),
        ("close", made.close),
    ):
        found[name] = work(
            (1, 1, await meter.each([turn(each) for each in single])),
            (size, size, await meter.each([turn(each) for each in batches])),
        )
    return found


async def measure_sizes(admin: "asyncpg.Connection[asyncpg.Record]") -> dict[str, Size]:
    """Bytes of a row; the partition of this month stands for usage_records."""
    found = {}
    for table in SIZED:
        name = str(table)
        if table is usage_tables.usage_records:
            name = f"{name}_{datetime.now(UTC):%Y_%m}"
        rows = max(await admin.fetchval(f"SELECT count(*) FROM {name}"), 1)  # noqa: S608 (our own tables)
        heap = await admin.fetchval("SELECT pg_relation_size($1::regclass)", name)
        indexes = await admin.fetchval("SELECT pg_indexes_size($1::regclass)", name)
        found[str(table)] = Size(table=heap / rows, indexes=indexes / rows)
    return found


async def measure_cold(meter: Meter, made: Services, admin: "asyncpg.Connection[asyncpg.Record]") -> float:
    """WAL beyond the usual of an account's first charge after a checkpoint, in bytes."""
    accounts = made.accounts
    warm = []
    for _ in range(2):
        await admin.execute("CHECKPOINT")
        for _ in range(2):
            calls = [made.record(accounts, accounts), made.settle(accounts, accounts)]
            warm.append(sum([(await meter.each([call])).wal_bytes for call in calls]))
    return max(warm[2] - warm[3], 0.0) / accounts


async def measure_commit(admin: "asyncpg.Connection[asyncpg.Record]") -> float:
    """The middle of the times of commits that write a few bytes, in seconds."""
    took = []
    for _ in range(COMMITS):
        begin = time.perf_counter()
        await admin.execute("SELECT pg_logical_emit_message(true, 'bench', 'commit')")
        took.append(time.perf_counter() - begin)
    return sorted(took)[COMMITS // 2]


async def measure_valkey(valkey: Valkey) -> tuple[float, float]:
    """Valkey's processor seconds for a call of the script, and for each request in it."""
    buckets = Buckets(valkey.url)

    async def each(requests: int, calls: int) -> float:
        before = running_s(valkey.child.pid)
        for number in range(calls):
            limits = [Bucket(f"rpm:{number}:{one}", 1_000, 60) for one in range(requests)]
            await asyncio.gather(*(buckets.take(limit) for limit in limits))
        return (running_s(valkey.child.pid) - before) / calls

    try:
        await each(1, 100)
        single, batch = await each(1, 1_000), await each(50, 100)
    finally:
        await buckets.close()
        async with Redis.from_url(valkey.url) as redis:
            await redis.flushall()
    row = (batch - single) / 49
    return single - row, row


@asynccontextmanager
async def databases_of(server: Postgres) -> AsyncIterator[Databases]:
    """Makes databases on it."""
    databases = Databases(Cluster(server.url))
    try:
        yield databases
    finally:
        await databases.close()


async def measure(server: Postgres, valkey: Valkey) -> Costs:
    """All of it."""
    async with databases_of(server) as databases, services(databases) as made:
        admin = await databases.admin(made.url)
        meter = Meter(admin, server.child.pid)
        commit_s = await measure_commit(admin)
        print("Measuring transactions ...", file=sys.stderr)
        works = await measure_works(meter, made)
        cold = await measure_cold(meter, made, admin)
        sizes = await measure_sizes(admin)
    call_s, request_s = await measure_valkey(valkey)
    return Costs(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{os.cpu_count()} cores {processor()}, PostgreSQL 18, Python {platform.python_version()}",
        shapes=shapes(),
        works=works,
        sizes=sizes,
        commit_s=commit_s,
        cold_wal_bytes=cold,
        valkey_call_s=call_s,
        valkey_request_s=request_s,
    )


def processor() -> str:
    """The model of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> int:
    """Measure, and keep what was found."""
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-bench-") as directory,
        Postgres(Path(directory) / "postgres") as server,
        Valkey(Path(directory) / "valkey") as valkey,
    ):
        costs = asyncio.run(measure(server, valkey))
    save(costs)
    print(f"Written: {len(costs.works)} kinds of transactions, {len(costs.sizes)} tables.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
