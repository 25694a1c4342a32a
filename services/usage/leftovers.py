"""What should be gone: R5, leases that are overdue for release, and R6, what is left although nothing goes on.

What is found once may be just about to go, such as a lease before its release: only what is found again later counts.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from kit.clock import Clock, boottime_s, utc_now
from kit.database import Database
from kit.ids import time_of
from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.usage import store_reconcile, store_workers
from services.usage.reconcile import TIMEOUT_S, Check, Mismatch
from services.usage.store_reconcile import Traffic

GRACE = timedelta(seconds=60)
"""A lease may be left for so long after it could be released."""

QUIET = timedelta(minutes=2)
"""Usage sees nothing for so long: then nothing goes on. A lease is closed after 5 s without a request."""

MOST = 1_000
_PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What was looked at and found; `idle` says whether R6 was looked at."""

    leases: int
    mismatches: list[Mismatch]
    idle: bool
    traffic: Traffic


class LeftLeases:
    """Looks for what is left; knows for how long this process could have heard of workers."""

    def __init__(
        self,
        database: Database,
        stub: BillingServiceStub,
        *,
        lost_after_s: float = 60.0,
        now: Clock = utc_now,
        elapsed_s: Callable[[], float] = boottime_s,
    ) -> None:
        """`lost_after_s`: a worker with expired leases is lost after so much silence."""
        self._database = database
        self._stub = stub
        self._lost_after = timedelta(seconds=lost_after_s)
        self._now = now
        self._elapsed_s = elapsed_s
        self._start_s = elapsed_s()

    async def look(self, *, assume_idle: bool = False) -> Leftovers:
        """Looks once; `assume_idle` says that R6 must hold.

        Unavailable when the database is, RemoteError when billing does not answer.
        """
        now = self._now()
        async with self._database.reader() as connection:
            traffic = await store_reconcile.traffic(connection)
            journals = await store_workers.waiting_rows(connection)
        idle = assume_idle or _is_quiet(traffic, now)
        mismatches = _unfinished(traffic) if assume_idle else []
        mismatches += [_waiting(worker_id, rows) for worker_id, rows in journals.items() if idle]
        looked = 0
        async for page in self._unreleased(None if idle else round(GRACE.total_seconds() * 1_000)):
            looked += len(page)
            overdue = await self._overdue(page, now)
            mismatches += overdue.values()
            mismatches += [
                _left(lease) for lease in page
                if idle and lease.remainder_nanos and lease.lease_id not in overdue
                and (assume_idle or _should_be_closed(lease, now))
            ]  # fmt: skip
        return Leftovers(leases=looked, mismatches=mismatches[:MOST], idle=idle, traffic=traffic)

    async def _unreleased(self, least_overdue_ms: int | None) -> AsyncIterator[list[billing.UnreleasedLease]]:
        after = ""
        while True:
            request = billing.ListUnreleasedLeasesRequest(
                least_overdue_ms=least_overdue_ms, after_lease_id=after, limit=_PAGE
            )
            leases = (await self._stub.ListUnreleasedLeases(request, timeout=TIMEOUT_S)).leases
            yield list(leases)
            if len(leases) < _PAGE:
                return
            after = leases[-1].lease_id

    async def _overdue(self, leases: list[billing.UnreleasedLease], now: datetime) -> dict[str, Mismatch]:
        """R5, by lease: past its release and the grace, of a worker that is lost and has nothing on its way."""
        lost_for = self._lost_after + GRACE
        overdue = [lease for lease in leases if lease.overdue_ms >= GRACE.total_seconds() * 1_000]
        # Before that nobody could be heard long enough to be called lost.
        if not overdue or self._elapsed_s() - self._start_s < lost_for.total_seconds():
            return {}
        async with self._database.reader() as connection:
            busy = await store_reconcile.busy_workers(
                connection, {UUID(lease.worker_id) for lease in overdue}, silent_since=now - lost_for
            )
        return {
            lease.lease_id: _mismatch(
                Check.OVERDUE_LEASES, lease, f"not released for {lease.overdue_ms // 1_000} s after it could have been"
            )
            for lease in overdue
            if UUID(lease.worker_id) not in busy
        }


def _is_quiet(traffic: Traffic, now: datetime) -> bool:
    last = traffic.last_record_time
    return not traffic.open_records and not traffic.waiting_charges and (last is None or last < now - QUIET)


def _unfinished(traffic: Traffic) -> list[Mismatch]:
    counts = {
        "open_records": (traffic.open_records, "records are open"),
        "outbox": (traffic.waiting_charges, "charges wait for billing"),
    }
    return [
        Mismatch(check=Check.IDLE, subject=subject, expected_nanos=0, actual_nanos=0, detail=f"{count} {what}")
        for subject, (count, what) in counts.items()
        if count
    ]


def _waiting(worker_id: UUID, rows: int) -> Mismatch:
    return Mismatch(
        check=Check.IDLE,
        subject=f"worker/{worker_id}",
        expected_nanos=0,
        actual_nanos=0,
        detail=f"{rows} records wait in its journal, as it said last",
    )


def _should_be_closed(lease: billing.UnreleasedLease, now: datetime) -> bool:
    """Whether an idle worker would have closed it; an expired one is a lost worker's, and R5's."""
    return not lease.expired and time_of(UUID(lease.lease_id)) < now - QUIET


def _left(lease: billing.UnreleasedLease) -> Mismatch:
    return _mismatch(Check.IDLE, lease, "sets credit aside although nothing goes on")


def _mismatch(check: Check, lease: billing.UnreleasedLease, detail: str) -> Mismatch:
    return Mismatch(
        check=check,
        subject=f"lease/{lease.lease_id}",
        expected_nanos=0,
        actual_nanos=lease.remainder_nanos,
        detail=detail,
    )
