"""All SQL of the outboxes: things to tell other systems, kept until they have been told."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection


@dataclass(frozen=True, slots=True)
class Outbox:
    """A table of things to tell, and its key column."""

    table: str
    key: str


ACCOUNT_OPENINGS = Outbox("auth.account_openings", "account_id")
VIRTUAL_KEY_DELETIONS = Outbox("auth.virtual_key_deletions", "api_key_id")


async def put_in(c: Connection, outbox: Outbox, key: UUID, *, now: datetime, due_time: datetime) -> None:
    """Adds something to tell, not before `due_time`; what is there already becomes due then."""
    await c.execute(
        f"""
        INSERT INTO {outbox.table} AS o ({outbox.key}, create_time, next_attempt_time) VALUES ($1, $2, $3)
        ON CONFLICT ({outbox.key}) DO UPDATE SET next_attempt_time = excluded.next_attempt_time
        """,
        key,
        now,
        due_time,
    )


async def claimed(c: Connection, outbox: Outbox, *, now: datetime, limit: int) -> list[UUID]:
    """Takes what is due, oldest first.

    Each stays in the box, due again after 1, 2, 4 ... 64 seconds in case it cannot be told; two
    processes never take the same one.
    """
    rows = await c.fetch(
        f"""
        UPDATE {outbox.table} SET
            attempts = attempts + 1,
            next_attempt_time = $1::timestamptz + interval '1 second' * 2 ^ least(attempts, 6)
        WHERE {outbox.key} IN (
            SELECT {outbox.key} FROM {outbox.table} WHERE next_attempt_time <= $1
            ORDER BY next_attempt_time LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING {outbox.key}
        """,
        now,
        limit,
    )
    return [row[0] for row in rows]


async def take_out(c: Connection, outbox: Outbox, key: UUID) -> None:
    """Removes what has been told."""
    await c.execute(f"DELETE FROM {outbox.table} WHERE {outbox.key} = $1", key)


async def took_out_untouched(c: Connection, outbox: Outbox, key: UUID) -> bool:
    """Removes what nobody has begun to tell; False where somebody has."""
    answer = await c.execute(f"DELETE FROM {outbox.table} WHERE {outbox.key} = $1 AND attempts = 0", key)
    return answer == "DELETE 1"
