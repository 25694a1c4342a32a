"""Compares the newest of usage and billing every minute, and tells operators by metrics and log lines."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter, Gauge

from kit.clock import Clock, utc_now
from kit.database import Database
from kit.errors import RemoteError, Unavailable
from kit.logs import get_logger
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.usage.leftovers import LeftLeases
from services.usage.reconcile import SETTLED_AFTER, Check, Mismatch, compare
from services.usage.store_reconcile import Traffic

AT_START = timedelta(hours=1)
"""How far back the first round looks."""

OVERLAP = timedelta(minutes=1)
"""What was compared this lately is compared again: a crash of a database may have lost it since."""

PINNED_AT_MOST = timedelta(days=1)
"""A mismatch, or a charge that waits, is looked at again every minute, until it is put right or so old."""

AFTER_FAILURE_S = 10.0
"""Billing may be starting, too."""

PAGE = 500
"""Records of a page: other work goes on between pages."""

log = get_logger()
_mismatches = Gauge("usage_mismatches", "What does not hold between usage and billing, by check.", ["check"])
_compared = Gauge("usage_compared_records", "Final records that the latest round of checks compared with charges.")
_open = Gauge("usage_open_records", "Open records, as of the latest round of checks.")
_finished = Gauge("usage_checks_finished_time_seconds", "When the latest round of checks ended, as Unix time.")
_failed = Counter("usage_checks_failed", "Rounds of checks that could not be finished.")


class Watch:
    """The rounds of one instance."""

    def __init__(
        self,
        database: Database,
        stub: BillingServiceStub,
        left_leases: LeftLeases,
        *,
        now: Clock = utc_now,
        interval_s: float = 60.0,
    ) -> None:
        self._database = database
        self._stub = stub
        self._left_leases = left_leases
        self._now = now
        self._interval_s = interval_s
        self._from_time = now() - AT_START
        self._left_before: set[str] = set()

    async def run(self) -> None:
        """Checks until cancelled, through outages of the database and of billing."""
        while True:
            wait_s = self._interval_s
            try:
                await self.check()
            except (Unavailable, RemoteError) as error:
                _failed.inc()
                log.warning("billing_not_compared", error=error.message)
                wait_s = min(wait_s, AFTER_FAILURE_S)
            except Exception:
                # Records must be taken, whatever a check stumbles over.
                _failed.inc()
                log.exception("billing_not_compared")
            await asyncio.sleep(wait_s)

    async def check(self) -> list[Mismatch]:
        """One round over what is new since the one before; what it found.

        A lease counts when two rounds have found it. Unavailable when the database is, RemoteError when billing does
        not answer.
        """
        now = self._now()
        left = await self._left_leases.look()
        found = [mismatch for mismatch in left.mismatches if mismatch.subject in self._left_before]
        self._left_before = {mismatch.subject for mismatch in left.mismatches}
        compared, charges = await self._compare(now - SETTLED_AFTER)
        found += charges
        _open.set(left.traffic.open_records)
        self._tell(found, compared, now)
        self._from_time = self._next_from_time(now, left.traffic, pinned=bool(charges))
        return found

    async def _compare(self, to_time: datetime) -> tuple[int, list[Mismatch]]:
        after = (self._from_time, UUID(int=0))
        compared = 0
        found: list[Mismatch] = []
        while True:
            page = await compare(self._database, self._stub, after, to_time=to_time, limit=PAGE)
            compared += page.records
            found += page.mismatches
            if page.next_key is None:
                return compared, found
            after = page.next_key

    def _next_from_time(self, now: datetime, traffic: Traffic, *, pinned: bool) -> datetime:
        """Where the next round begins: not after anything that waited, since it is compared once it is booked."""
        begin = now - SETTLED_AFTER - OVERLAP
        if traffic.oldest_record_time:
            begin = min(begin, traffic.oldest_record_time)
        if pinned:
            begin = min(begin, self._from_time)
        return max(begin, now - PINNED_AT_MOST)

    def _tell(self, found: list[Mismatch], compared: int, now: datetime) -> None:
        for check in Check:
            _mismatches.labels(check.value).set(sum(mismatch.check is check for mismatch in found))
        _compared.set(compared)
        _finished.set(now.timestamp())
        for mismatch in found[:100]:
            log.error(
                "billing_mismatch",
                check=mismatch.check.value,
                subject=mismatch.subject,
                expected_nanos=mismatch.expected_nanos,
                actual_nanos=mismatch.actual_nanos,
                detail=mismatch.detail,
            )
