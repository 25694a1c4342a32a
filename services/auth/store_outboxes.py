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
    changes: bool = False
    """Whether what is told of a key may change while it is told: then it is told again."""


ACCOUNT_OPENINGS = Outbox("auth.account_openings", "account_id")
VIRTUAL_KEY_DELETIONS = Outbox("auth.virtual_key_deletions", "api_key_id")
VIRTUAL_KEY_UPDATES = Outbox("auth.virtual_key_updates", "api_key_id", changes=True)


async def backlog(c: Connection, outbox: Outbox) -> tuple[int, datetime | None]:
    """How many things are to be told, and since when the oldest of those is that were tried and are still there."""
    row = await c.fetchrow(f"SELECT count(*), min(create_time) FILTER (WHERE attempts > 0) FROM {outbox.table}")
    assert row is not None  # noqa: S101 (an aggregate has one)
    return row[0], row[1]


async def put_in(c: Connection, outbox: Outbox, key: UUID, *, now: datetime, due_time: datetime) -> None:
    """Adds something to tell, not before `due_time`; what is there already becomes due then, as if it were new."""
    await c.execute(
        f"""
        INSERT INTO {outbox.table} AS o ({outbox.key}, create_time, next_attempt_time) VALUES ($1, $2, $3)
        ON CONFLICT ({outbox.key}) DO UPDATE SET next_attempt_time = excluded.next_attempt_time, attempts = 0
        """,
        key,
        now,
        due_time,
    )


async def put_in_first(c: Connection, outbox: Outbox, key: UUID, *, now: datetime, due_time: datetime) -> bool:
    """Adds something to tell where there is nothing of this key; answers whether it was added."""
    answer = await c.execute(
        f"INSERT INTO {outbox.table} ({outbox.key}, create_time, next_attempt_time) VALUES ($1, $2, $3)"
        f" ON CONFLICT ({outbox.key}) DO NOTHING",
        key,
        now,
        due_time,
    )
    return answer == "INSERT 0 1"


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
    """Removes what has been told; of an outbox whose things change, only what was not put in anew meanwhile."""
    unchanged = " AND attempts > 0" if outbox.changes else ""
    await c.execute(f"DELETE FROM {outbox.table} WHERE {outbox.key} = $1{unchanged}", key)


async def took_out_untouched(c: Connection, outbox: Outbox, key: UUID) -> bool:
    """Removes what nobody has begun to tell; False where somebody has."""
    answer = await c.execute(f"DELETE FROM {outbox.table} WHERE {outbox.key} = $1 AND attempts = 0", key)
    return answer == "DELETE 1"
