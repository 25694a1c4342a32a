"""SQL of the workers: when each was last heard from, and what waits in its journal."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from kit.database import Connection


async def note(connection: Connection, worker_id: UUID, now: datetime, *, alive: bool, journal_rows: int) -> None:
    """Notes a call about a worker; its row stays locked, so that its calls follow one another."""
    await connection.execute(
        """
        INSERT INTO usage.workers AS known (worker_id, last_seen, journal_rows) VALUES ($1, $2, $4)
        ON CONFLICT (worker_id) DO UPDATE
        SET last_seen = CASE WHEN $3 THEN greatest(known.last_seen, EXCLUDED.last_seen) ELSE known.last_seen END,
            journal_rows = EXCLUDED.journal_rows
        """,
        worker_id,
        now,
        alive,
        journal_rows,
    )


async def last_seen(connection: Connection) -> dict[UUID, datetime]:
    """When each worker was last heard from."""
    rows = await connection.fetch("SELECT worker_id, last_seen FROM usage.workers")
    return {row["worker_id"]: row["last_seen"] for row in rows}


async def waiting_rows(connection: Connection) -> dict[UUID, int]:
    """How many records wait in the journals of workers that have said so."""
    rows = await connection.fetch(
        "SELECT worker_id, journal_rows FROM usage.workers WHERE journal_rows > 0 ORDER BY worker_id"
    )
    return {row["worker_id"]: row["journal_rows"] for row in rows}


async def lock(connection: Connection, worker_id: UUID) -> datetime | None:
    """When this worker was last heard from; its row stays locked, so that it waits with its next call."""
    seen: datetime | None = await connection.fetchval(
        "SELECT last_seen FROM usage.workers WHERE worker_id = $1 FOR UPDATE", worker_id
    )
    return seen


async def forget(connection: Connection, seen: Mapping[UUID, datetime], *, waited_since: datetime) -> None:
    """Forgets workers that were not heard from since then and have no open records.

    Those in whose journals records wait are kept, unless they were last heard from before `waited_since`.
    """
    await connection.execute(
        """
        DELETE FROM usage.workers USING unnest($1::uuid[], $2::timestamptz[]) AS silent (worker_id, last_seen)
        WHERE (workers.worker_id, workers.last_seen) = (silent.worker_id, silent.last_seen)
            AND (workers.journal_rows = 0 OR workers.last_seen < $3)
            AND NOT EXISTS (SELECT FROM usage.usage_records AS record
                            WHERE record.worker_id = workers.worker_id AND record.status = 'open')
        """,
        list(seen),
        list(seen.values()),
        waited_since,
    )
