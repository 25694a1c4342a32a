"""Deletes rows that nobody can ask for any more: in small batches, round after round, beside the traffic.

background=[partial(sweep, database, "auth.sessions", delete_sessions, clock=utc_now)]
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from prometheus_client import Counter

from kit.clock import Clock
from kit.database import Connection, Database
from kit.errors import Unavailable
from kit.logs import get_logger

BATCH: Final = 1_000
EVERY_S: Final = 3_600.0
PAUSE_S: Final = 0.05
"""Between two batches, so that whoever does the work comes first."""

log = get_logger()
_rows = Counter("swept_rows", "Rows deleted because nobody can ask for them any more, by table.", ["table"])
_failed = Counter("sweeps_failed", "Rounds of deletion that could not be finished, by table.", ["table"])

Delete = Callable[[Connection, datetime], Awaitable[int]]
"""Deletes at most BATCH rows that are too old at that moment; how many."""


async def sweep(
    database: Database, table: str, delete: Delete, *, clock: Clock, every_s: float = EVERY_S, pause_s: float = PAUSE_S
) -> None:
    """Deletes what is too old, now and every hour, until cancelled; each batch is a transaction of its own.

    Several processes may do so at the same time.
    """
    rows, failed = _rows.labels(table), _failed.labels(table)
    while True:
        try:
            deleted = BATCH
            while deleted == BATCH:
                async with database.transaction() as connection:
                    deleted = await delete(connection, clock())
                rows.inc(deleted)
                await asyncio.sleep(pause_s)
        except Unavailable as error:
            failed.inc()
            log.warning("not_swept", table=table, error=error.message)
        except Exception:
            # A process that can no longer tidy up is still good for its work.
            failed.inc()
            log.exception("not_swept", table=table)
        await asyncio.sleep(every_s)
