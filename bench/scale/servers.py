"""Simulated servers: processors that work in turn, rows that one transaction at a time may lock, and commits."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager

from bench.scale.costs import Costs, Part

RPC_S = 0.0003
"""A processor's time at each end of a call: docs/decisions/0006."""
POOL = 10
"""Connections of a service process: `max_size` of kit.database.Database.connect, which a test compares."""


class Processors:
    """So many processors, which take work in the order in which it comes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.busy_s = 0.0
        self._free_at = [0.0] * number

    async def work(self, seconds: float) -> None:
        """Waits for a free one, and for the work to be done."""
        now_s = asyncio.get_running_loop().time()
        done_s = max(now_s, self._free_at[0]) + seconds
        heapq.heapreplace(self._free_at, done_s)
        self.busy_s += seconds
        await asyncio.sleep(done_s - now_s)


class Rows:
    """Locks on rows by their names; who asks first gets a row first."""

    def __init__(self) -> None:
        self._held: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self.most_waiting = 0
        """Longest queue for one row so far."""

    @asynccontextmanager
    async def locked(self, names: Iterable[Hashable]) -> AsyncIterator[None]:
        """Locks them in their order, which must be the same everywhere, until the end."""
        taken: list[Hashable] = []
        try:
            for name in names:
                await self._lock(name)
                taken.append(name)
            yield
        finally:
            for name in taken:
                self._unlock(name)

    async def _lock(self, name: Hashable) -> None:
        if (waiting := self._held.get(name)) is None:
            self._held[name] = deque()
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        self.most_waiting = max(self.most_waiting, len(waiting))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._unlock(name)
            raise

    def _unlock(self, name: Hashable) -> None:
        waiting = self._held[name]
        while waiting:
            if not (future := waiting.popleft()).cancelled():
                future.set_result(None)
                return
        del self._held[name]


class Postgres:
    """One primary: its processors, the locks on its rows, and what is counted of it."""

    def __init__(self, costs: Costs, *, cores: int, commit_s: float) -> None:
        self.costs = costs
        self.processors = Processors(cores)
        self.rows = Rows()
        self.commit_s = commit_s
        self.commits = 0
        self.wal_bytes = 0.0


class Service:
    """The processes of one service, which take calls in turn; each has one processor and a pool of connections."""

    def __init__(self, postgres: Postgres, *, processes: int) -> None:
        self._postgres = postgres
        self.processes = [Processors(1) for _ in range(processes)]
        self._pools = [asyncio.Semaphore(POOL) for _ in range(processes)]
        self._next = 0

    @property
    def busy_s(self) -> float:
        """Processor seconds of all of them."""
        return sum(process.busy_s for process in self.processes)

    @asynccontextmanager
    async def transaction(self, *parts: Part, locks: Iterable[Hashable] = (), late: float = 1.0) -> AsyncIterator[None]:
        """A call with one transaction; the body runs under its locks, after all work and before the commit.

        What a call takes in itself is counted once, as of the first part. `late` is the share of the work that is done
        under the locks.
        """
        turn, self._next = self._next, (self._next + 1) % len(self.processes)
        process, postgres = self.processes[turn], self._postgres
        service_s, postgres_s, wal_bytes = postgres.costs.of(*parts)
        await process.work(RPC_S + service_s * (1 - late))
        async with self._pools[turn]:
            if late < 1:
                await postgres.processors.work(postgres_s * (1 - late))
            async with postgres.rows.locked(locks):
                await process.work(service_s * late)
                await postgres.processors.work(postgres_s * late)
                yield
                await asyncio.sleep(postgres.commit_s)
                postgres.commits += 1
                postgres.wal_bytes += wal_bytes
