"""Billing's own clock, by which leases expire: it stands still while billing is away.

Every instance beats once a second. A beat counts the time since the last beat of any of them, though little of a long
gap: in that time nobody could renew a lease. So neither an outage nor a leap of the wall clock makes a lease expire.
"""

import asyncio

from kit.clock import Clock
from kit.database import Database
from kit.errors import Unavailable
from kit.logs import get_logger
from services.billing import store

log = get_logger()


class Uptime:
    """The beating of one instance."""

    def __init__(self, database: Database, *, clock: Clock, interval_s: float = 1.0) -> None:
        self._database = database
        self._clock = clock
        self._interval_s = interval_s

    async def beat(self) -> int:
        """Counts the time since the last beat, at most two intervals; billing's uptime in milliseconds."""
        async with self._database.transaction() as connection:
            return await store.beat(connection, self._clock(), most_ms=round(self._interval_s * 2_000))

    async def run(self) -> None:
        """Beats until cancelled, through outages of the database."""
        while True:
            try:
                await self.beat()
            except Unavailable as error:
                log.warning("uptime_stands_still", error=error.message)
            await asyncio.sleep(self._interval_s)
