"""SQL of the comparison with billing: what final records cost, what is still on its way, and who may be busy."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection

LONGEST_S = 60


@dataclass(frozen=True, slots=True)
class Bill:
    """What a final record costs, and whether a charge of it is still in the outbox."""

    record_time: datetime
    request_id: UUID
    account_id: UUID
    cost_nanos: int
    revision: int
    waiting: bool


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes on: open records, charges on their way and refused ones, since when the oldest waits, the last final.

    `oldest_record_time` is the lowest record time of what waits.
    """

    open_records: int
    waiting_charges: int
    parked_charges: int
    oldest_waiting_time: datetime | None
    oldest_record_time: datetime | None
    last_record_time: datetime | None


_BILL = """record_time, request_id, account_id, cost_nanos, revision,
    EXISTS (SELECT FROM usage.outbox WHERE outbox.request_id = record.request_id) AS waiting"""


async def allow_time(connection: Connection) -> None:
    """Lets the statements of this transaction run for up to LONGEST_S each."""
    await connection.execute(f"SET LOCAL statement_timeout = '{LONGEST_S}s'")


async def bills(connection: Connection, after: tuple[datetime, UUID], *, to_time: datetime, limit: int) -> list[Bill]:
    """The next final records by record time and id that cost something."""
    rows = await connection.fetch(
        f"""
        SELECT {_BILL} FROM usage.usage_records AS record
        WHERE status <> 'open' AND cost_nanos > 0 AND record_time >= $1 AND (record_time, request_id) > ($1, $2)
            AND record_time < $3
        ORDER BY record_time, request_id LIMIT $4
        """,
        *after,
        to_time,
        limit,
        timeout=LONGEST_S,
    )
    return [Bill(*row) for row in rows]


async def bills_of(connection: Connection, request_ids: Sequence[UUID]) -> dict[UUID, Bill]:
    """Final records of these requests, also those that cost nothing."""
    rows = await connection.fetch(
        f"SELECT {_BILL} FROM usage.usage_records AS record WHERE request_id = ANY($1) AND status <> 'open'",
        request_ids,
    )
    return {row["request_id"]: Bill(*row) for row in rows}


async def traffic(connection: Connection) -> Traffic:
    """What goes on at this moment."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM usage.usage_records WHERE status = 'open'),
               count(*) FILTER (WHERE parked_reason IS NULL), count(*) FILTER (WHERE parked_reason IS NOT NULL),
               min(create_time) FILTER (WHERE parked_reason IS NULL),
               min(record_time) FILTER (WHERE parked_reason IS NULL),
               (SELECT max(record_time) FROM usage.usage_records WHERE status <> 'open')
        FROM usage.outbox
        """
    )
    if row is None:
        raise LookupError("an aggregate without groups has a row")
    return Traffic(*row)


async def busy_workers(connection: Connection, worker_ids: Collection[UUID], *, silent_since: datetime) -> set[UUID]:
    """Which of these workers were heard from since then, or have charges that billing has not answered."""
    rows = await connection.fetch(
        """
        SELECT worker_id FROM usage.workers WHERE worker_id = ANY($1) AND last_seen >= $2
        UNION SELECT worker_id FROM usage.outbox WHERE worker_id = ANY($1) AND parked_reason IS NULL
        """,
        list(worker_ids),
        silent_since,
    )
    return {row["worker_id"] for row in rows}
