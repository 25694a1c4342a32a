"""Partitions of coming months, made well before their first record."""

import asyncio
from datetime import date, datetime

from kit.clock import Clock, utc_now
from kit.database import Database
from kit.errors import Unavailable
from kit.logs import get_logger
from services.usage import store

MONTHS_AHEAD = 2
_AGAIN_S = 3_600.0
_AFTER_FAILURE_S = 60.0

log = get_logger()


def coming_months(now: datetime) -> list[date]:
    """The first days of the present month and of the next MONTHS_AHEAD."""
    months = range(now.month - 1, now.month + MONTHS_AHEAD)
    return [date(now.year + month // 12, month % 12 + 1, 1) for month in months]


async def keep_months(database: Database, *, now: Clock = utc_now) -> None:
    """Sees to the partitions now and every hour.

    Without one, records go to the default partition: slower to clean up, but nothing is lost.
    """
    while True:
        wait_s = _AGAIN_S
        try:
            async with database.transaction() as connection:
                if made := await store.create_months(connection, coming_months(now())):
                    log.info("partitions_made", count=made)
        except Unavailable as error:
            log.warning("partitions_not_made", error=error.message)
            wait_s = _AFTER_FAILURE_S
        await asyncio.sleep(wait_s)
