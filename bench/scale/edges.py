"""Simulated edges: the real credit, leases, renewals and shipping of edge/money, with a journal in memory."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import cast
from uuid import UUID

from bench.scale.world import Billing, Request, Tally, Usage
from edge.errors import EdgeError
from edge.money.book import Book
from edge.money.credit import Credit
from edge.money.holds import Hold
from edge.money.journal import Final, Journal
from edge.money.pace import Pace
from edge.money.renewals import Renewals
from edge.money.shipper import Shipper
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub


class Memory(Journal):
    """A journal that is never full, and gone in the end."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.failed = self.full = False
        self._kept: deque[Final] = deque()

    def note_lease(self, lease_id: str) -> None:
        """Nothing: this worker never dies."""

    def forget_lease(self, lease_id: str) -> None:
        """The same."""

    def note_final(self, final: Final) -> None:
        """Keeps it until it is acknowledged."""
        self._kept.append(final)

    async def commit(self) -> bool:
        """It is there already."""
        return True

    def batch(self, most: int) -> list[Final]:
        """The oldest."""
        return list(islice(self._kept, most))

    def acked(self, finals: Sequence[Final]) -> None:
        """Forgets the oldest."""
        for _ in finals:
            self._kept.popleft()

    @property
    def waiting(self) -> int:
        """How many there are."""
        return len(self._kept)


class Edge:
    """One worker: what edge/money/path.py puts together, without what touches a disk."""

    def __init__(
        self,
        billing: Billing,
        usage: Usage,
        *,
        requests: dict[str, Request],
        tally: Tally,
        pace: Pace,
        new_id: Callable[[], UUID],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._pace = pace
        self._tally = tally
        self._requests = requests
        self._new_id = new_id
        self._running: dict[str, float] = {}
        """Requests under way, by id, in the order in which they began."""
        self._asking: set[asyncio.Task[None]] = set()
        self._journal = Memory(str(new_id()))
        self.book = Book(pace)
        stub = cast(BillingServiceStub, billing)
        self._renewals = Renewals(stub, self.book, self._journal, pace=pace, clock=loop.time)
        self._credit = Credit(
            stub,
            self.book,
            self._journal,
            self._renewals,
            pace=pace,
            clock=loop.time,
            new_id=lambda: str(new_id()),
        )
        self._shipper = Shipper(
            cast(UsageServiceStub, usage), self._journal, pace=pace, alive=True, on_shipped=self._shipped
        )

    async def run(self, rng: random.Random) -> None:
        """Ships, renews, closes and reports until cancelled; edges that were started together would do so at once."""
        pace = self._pace
        async with asyncio.TaskGroup() as group:
            group.create_task(self._shipper.run())
            for work, period_s in (
                (self._renewals.run, pace.renew_s),
                (self._renewals.run_closing, pace.tick_s),
                (self._tick, pace.tick_s),
            ):
                group.create_task(_later(work, rng.random() * period_s))

    def serve(self, request: Request, *, hold_nanos: int, duration_s: float) -> None:
        """Lets one request begin; it ends by itself."""
        hold = self._credit.try_hold(str(request.account_id), str(request.api_key_id), hold_nanos)
        if hold is not None:
            self._begin(request, hold, duration_s)
            return
        task = asyncio.create_task(self._ask(request, hold_nanos, duration_s))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, request: Request, hold_nanos: int, duration_s: float) -> None:
        try:
            hold = await self._credit.hold(
                str(request.account_id),
                str(request.api_key_id),
                monthly_limit_nanos=None,
                full_nanos=hold_nanos,
                least_nanos=hold_nanos,
            )
        except EdgeError as error:
            self._tally.add(f"refused {error.code}")
            return
        self._tally.waits_s.append(asyncio.get_running_loop().time() - request.begin_s)
        self._begin(request, hold, duration_s)

    def _begin(self, request: Request, hold: Hold, duration_s: float) -> None:
        loop = asyncio.get_running_loop()
        request_id = str(self._new_id())
        request.lease_id = hold.lease.id if hold.lease else ""
        self._requests[request_id] = request
        self._running[request_id] = loop.time()
        loop.call_later(duration_s, self._end, request_id, request, hold)

    def _end(self, request_id: str, request: Request, hold: Hold) -> None:
        del self._running[request_id]
        self._shipper.forget_report(request_id)
        request.end_s = asyncio.get_running_loop().time()
        if hold.lease:
            hold.lease.unacked += 1
        record = _record(request_id, usage_pb2.USAGE_STATUS_SUCCESS)
        self._journal.note_final(Final(request_id, request.lease_id, request.cost_nanos, record))
        self._credit.settle(hold, request.cost_nanos)
        self._shipper.wake()
        self._tally.add("ended")

    def _shipped(self, final: Final, refused_nanos: int) -> None:
        if lease := self.book.leases.get(final.lease_id):
            lease.unacked -= 1
            lease.spent -= refused_nanos

    async def _tick(self) -> None:
        """As edge/money/path.py and reports.py do; each request has more tokens to tell of every time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pace.tick_s)
            self.book.prune(loop.time())
            old_s = loop.time() - self._pace.tick_s
            reports = []
            for request_id, begin_s in self._running.items():
                if begin_s > old_s:
                    break
                reports.append((request_id, _record(request_id, usage_pb2.USAGE_STATUS_OPEN)))
            if reports:
                self._shipper.report(reports)


async def _later(work: Callable[[], Awaitable[None]], after_s: float) -> None:
    await asyncio.sleep(after_s)
    await work()


def _record(request_id: str, status: "usage_pb2.UsageStatus.ValueType") -> bytes:
    return usage_pb2.UsageRecord(request_id=request_id, status=status).SerializeToString()
