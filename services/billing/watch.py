"""Audits the newest part of the books every minute, and tells operators by metrics and log lines."""

import asyncio
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge

from kit.clock import Clock
from kit.database import Database
from kit.errors import Unavailable
from kit.ids import lowest_id
from kit.logs import get_logger
from services.billing import audit
from services.billing.audit import Check, Mismatch, Part, Sums

AT_START = timedelta(hours=1)
"""How far back the first round looks."""

OVERLAP = timedelta(minutes=5)
"""No transaction is committed later than this after its id was made, clocks of several instances included."""

PINNED_AT_MOST = timedelta(days=1)
"""A mismatch is looked at again every minute, until it is put right or so old."""

MOST_KNOWN = 100_000
PAGE = 2_000

log = get_logger()
_mismatches = Gauge("billing_mismatches", "What does not hold in the newest part of the books, by check.", ["check"])
_checked = Gauge("billing_checked_rows", "Rows that the latest round of checks looked at.")
_finished = Gauge("billing_checks_finished_time_seconds", "When the latest round of checks ended, as Unix time.")
_failed = Counter("billing_checks_failed", "Rounds of checks that could not be finished.")


class Watch:
    """The rounds of one instance."""

    def __init__(self, database: Database, *, clock: Clock, interval_s: float = 60.0) -> None:
        self._database = database
        self._clock = clock
        self._interval_s = interval_s
        self._from_time = clock() - AT_START
        self._sums = Sums(known={}, settled_id=audit.FIRST)

    async def run(self) -> None:
        """Checks until cancelled, through outages of the database."""
        while True:
            try:
                await self.check()
            except Unavailable as error:
                _failed.inc()
                log.warning("books_not_checked", error=error.message)
            except Exception:
                # Money must go on moving, whatever a check stumbles over.
                _failed.inc()
                log.exception("books_not_checked")
            await asyncio.sleep(self._interval_s)

    async def check(self) -> list[Mismatch]:
        """One round over what is new since the one before; what it found. Unavailable when the database is."""
        now = self._clock()
        known = self._sums.known if len(self._sums.known) <= MOST_KNOWN else {}
        known_keys = self._sums.known_keys if len(self._sums.known_keys) <= MOST_KNOWN else {}
        self._sums = Sums(known=known, known_keys=known_keys, settled_id=lowest_id(now - OVERLAP))
        found: list[Mismatch] = []
        checked = 0
        for part in Part:
            token = ""
            while True:
                async with self._database.reader() as connection:
                    page = await audit.audit(
                        connection, part, since=lowest_id(self._from_time), token=token, limit=PAGE, sums=self._sums
                    )
                found += page.mismatches
                checked += page.checked
                token = page.next_token
                if not token:
                    break
        self._tell(found, checked, now)
        self._from_time = max(self._from_time, now - PINNED_AT_MOST) if found else now - OVERLAP
        return found

    def _tell(self, found: list[Mismatch], checked: int, now: datetime) -> None:
        for check in Check:
            _mismatches.labels(check.value).set(sum(mismatch.check is check for mismatch in found))
        _checked.set(checked)
        _finished.set(now.timestamp())
        for mismatch in found[:100]:
            log.error(
                "books_mismatch",
                check=mismatch.check.value,
                subject=mismatch.subject,
                expected_nanos=mismatch.expected_nanos,
                actual_nanos=mismatch.actual_nanos,
                detail=mismatch.detail,
            )
