"""SQL of the outbox: charges that billing has not acknowledged yet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection

_LEADER_KEY = 0x75736167_656F7574
"""Session lock of the one relay that sends; any number will do that no other program uses."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge on its way: `amount_nanos` of revision 2 may be negative."""

    request_id: UUID
    revision: int
    worker_id: UUID
    account_id: UUID
    api_key_id: UUID
    lease_id: UUID | None
    amount_nanos: int
    model_public_name: str
    price_version_id: UUID | None
    record_time: datetime
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: since when the oldest charge does, and how many billing has refused."""

    oldest_time: datetime | None
    parked: int


_COLUMNS = (
    "request_id, revision, worker_id, account_id, api_key_id, lease_id, amount_nanos, model_public_name,"
    " price_version_id, record_time, create_time"
)


async def lead(session: Connection) -> bool:
    """Whether this session is now the one that sends; it remains so until it ends."""
    leads: bool = await session.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER_KEY)
    return leads


async def add(connection: Connection, charges: Sequence[Charge]) -> None:
    """Puts charges into the outbox."""
    await connection.execute(
        f"""
        INSERT INTO usage.outbox ({_COLUMNS})
        SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[],
                             $7::bigint[], $8::text[], $9::uuid[], $10::timestamptz[], $11::timestamptz[])
        """,
        *([getattr(charge, name) for charge in charges] for name in Charge.__slots__),
    )


async def waiting(connection: Connection, *, limit: int) -> dict[int, Charge]:
    """The oldest charges that billing has not answered, by their number in the outbox."""
    rows = await connection.fetch(
        f"SELECT id, {_COLUMNS} FROM usage.outbox WHERE parked_reason IS NULL ORDER BY id LIMIT $1", limit
    )
    return {row[0]: Charge(*row[1:]) for row in rows}


async def remove(connection: Connection, numbers: Collection[int]) -> None:
    """Forgets charges that are booked."""
    await connection.execute("DELETE FROM usage.outbox WHERE id = ANY($1::bigint[])", list(numbers))


async def park(connection: Connection, reasons: Mapping[int, str]) -> None:
    """Sets charges aside that billing refused, with its reason for each."""
    await connection.execute(
        """
        UPDATE usage.outbox SET parked_reason = new.reason
        FROM unnest($1::bigint[], $2::text[]) AS new (id, reason) WHERE outbox.id = new.id
        """,
        list(reasons),
        list(reasons.values()),
    )


async def workers_with_charges(connection: Connection, worker_ids: Collection[UUID]) -> set[UUID]:
    """Which of these workers have charges that billing has not answered."""
    rows = await connection.fetch(
        "SELECT DISTINCT worker_id FROM usage.outbox WHERE worker_id = ANY($1::uuid[]) AND parked_reason IS NULL",
        list(worker_ids),
    )
    return {row["worker_id"] for row in rows}


async def backlog(connection: Connection) -> Backlog:
    """How far behind the outbox is."""
    oldest_time: datetime | None = await connection.fetchval(
        "SELECT create_time FROM usage.outbox WHERE parked_reason IS NULL ORDER BY id LIMIT 1"
    )
    parked: int = await connection.fetchval("SELECT count(*) FROM usage.outbox WHERE parked_reason IS NOT NULL")
    return Backlog(oldest_time, parked)
