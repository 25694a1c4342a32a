"""SQL of the workers: when each was last heard from."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from kit.database import Connection


async def note(connection: Connection, worker_id: UUID, now: datetime, *, alive: bool) -> None:
    """Notes a call about a worker; its row stays locked, so that its calls follow one another."""
    await connection.execute(
        """
        INSERT INTO usage.workers AS known (worker_id, last_seen) VALUES ($1, $2)
        ON CONFLICT (worker_id) DO UPDATE
        SET last_seen = CASE WHEN $3 THEN greatest(known.last_seen, EXCLUDED.last_seen) ELSE known.last_seen END
        """,
        worker_id,
        now,
        alive,
    )


async def last_seen(connection: Connection) -> dict[UUID, datetime]:
    """When each worker was last heard from."""
    rows = await connection.fetch("SELECT worker_id, last_seen FROM usage.workers")
    return {row["worker_id"]: row["last_seen"] for row in rows}


async def lock(connection: Connection, worker_id: UUID) -> datetime | None:
    """When this worker was last heard from; its row stays locked, so that it waits with its next call."""
    seen: datetime | None = await connection.fetchval(
        "SELECT last_seen FROM usage.workers WHERE worker_id = $1 FOR UPDATE", worker_id
    )
    return seen


async def forget(connection: Connection, seen: Mapping[UUID, datetime]) -> None:
    """Forgets workers that were not heard from since then and have no open records."""
    await connection.execute(
        """
        DELETE FROM usage.workers USING unnest($1::uuid[], $2::timestamptz[]) AS silent (worker_id, last_seen)
        WHERE (workers.worker_id, workers.last_seen) = (silent.worker_id, silent.last_seen)
            AND NOT EXISTS (SELECT FROM usage.usage_records AS record
                            WHERE record.worker_id = workers.worker_id AND record.status = 'open')
        """,
        list(seen),
        list(seen.values()),
    )
