"""Empties an outbox: tells another system what is due, again and again until it has been told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Gauge

from kit.clock import Clock
from kit.database import Database
from kit.errors import Unavailable
from kit.faults import fault_async
from kit.logs import get_logger
from services.auth import store_outboxes
from services.auth.store_outboxes import Outbox

BATCH = 20
POLL_S = 1.0
MEASURE_S = 15.0

log = get_logger()
_rows = Gauge("auth_outbox_rows", "What another system is yet to be told.", ["outbox"])
_stuck = Gauge("auth_outbox_stuck_seconds", "Age of the oldest that was told in vain so far.", ["outbox"])

Tell = Callable[[UUID], Awaitable[bool]]
"""Tells the other system of one key, bounded in time and harmless when repeated; answers whether it has been told."""


class Relay:
    """One outbox and how to tell what is in it. Several processes may share an outbox."""

    def __init__(self, database: Database, outbox: Outbox, tell: Tell, *, clock: Clock) -> None:
        self._database = database
        self._outbox = outbox
        self._tell = tell
        self._clock = clock
        self._wake = asyncio.Event()
        self._measured_time: datetime | None = None

    def wake(self) -> None:
        """Something is due now; without a call it is found within a second."""
        self._wake.set()

    async def deliver(self, key: UUID) -> bool:
        """Tells of one key at once and takes it out of the box; what fails is logged and stays there."""
        try:
            await fault_async("auth.outbox.before_tell")
            if not await self._tell(key):
                return False
            await fault_async("auth.outbox.after_tell")
            async with self._database.transaction() as c:
                await store_outboxes.take_out(c, self._outbox, key)
        except Unavailable as error:
            log.warning("outbox_unavailable", outbox=self._outbox.table, error=error.message)
            return False
        except Exception:
            log.exception("outbox_delivery_failed", outbox=self._outbox.table, key=str(key))
            return False
        return True

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._wake.clear()
            await self._measure()
            due = await self._claim()
            await asyncio.gather(*(self.deliver(key) for key in due))
            if len(due) < BATCH:
                await self._idle()

    async def _measure(self) -> None:
        """Counts what waits, every `MEASURE_S`."""
        now = self._clock()
        if self._measured_time and now - self._measured_time < timedelta(seconds=MEASURE_S):
            return
        self._measured_time = now
        try:
            async with self._database.reader() as c:
                rows, oldest_time = await store_outboxes.backlog(c, self._outbox)
        except Unavailable as error:
            log.warning("outbox_unavailable", outbox=self._outbox.table, error=error.message)
            return
        name = self._outbox.table.partition(".")[2]
        _rows.labels(name).set(rows)
        _stuck.labels(name).set((now - oldest_time).total_seconds() if oldest_time else 0)

    async def _claim(self) -> list[UUID]:
        try:
            async with self._database.transaction() as c:
                return await store_outboxes.claimed(c, self._outbox, now=self._clock(), limit=BATCH)
        except Unavailable as error:
            log.warning("outbox_unavailable", outbox=self._outbox.table, error=error.message)
            return []

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
