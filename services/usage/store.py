"""SQL of usage records: every statement takes a whole batch."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from uuid import UUID

from asyncpg import Record as Row

from kit.database import Connection
from kit.ids import lowest_id
from services.usage.records import Attempt, Record

_TYPES = {
    **dict.fromkeys(("request_id", "worker_id", "lease_id", "account_id", "api_key_id", "price_version_id"), "uuid"),
    **dict.fromkeys(("model_public_name", "upstream_name", "upstream_model", "endpoint"), "text"),
    **dict.fromkeys(("status", "error_code", "finish_reason"), "text"),
    "served_model_public_name": "text",
    **dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"), "bigint"),
    **dict.fromkeys(("input_nanos_per_mtok", "cached_input_nanos_per_mtok", "output_nanos_per_mtok"), "bigint"),
    **dict.fromkeys(("cache_write_input_tokens", "cache_write_input_nanos_per_mtok"), "bigint"),
    **dict.fromkeys(("cost_nanos", "uncharged_nanos", "held_nanos", "latency_ms", "first_token_ms"), "bigint"),
    **dict.fromkeys(("http_status", "revision"), "integer"),
    **dict.fromkeys(("estimated", "streamed", "presumed"), "boolean"),
    **dict.fromkeys(("start_time", "record_time"), "timestamptz"),
    "attempts": "jsonb",
}
COLUMNS = ", ".join(_TYPES)

ASTRAY = (
    "abs(EXTRACT(epoch FROM start_time AT TIME ZONE 'UTC') * 1000"
    " - ('x' || encode(substring(uuid_send(request_id) FOR 6), 'hex'))::bit(48)::bigint) > 60000"
)
"""Begun more than BESIDE before or after the moment of the id: the condition of an index, to the letter."""
BESIDE = timedelta(minutes=1)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No record began later."""

_WRITE = f"""
INSERT INTO usage.usage_records AS known ({COLUMNS})
SELECT {COLUMNS}
FROM unnest({", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(_TYPES.values(), 1))}) AS new ({COLUMNS})
ON CONFLICT (request_id) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _TYPES if name != "request_id")}
WHERE known.status = 'open' OR (known.presumed AND EXCLUDED.status <> 'open')
"""


async def known_records(connection: Connection, request_ids: Collection[UUID]) -> dict[UUID, Record]:
    """What is known of these requests, locked until the end of the transaction."""
    # The bounds spare the partitions of other months, which an array of ids alone would all visit.
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM usage.usage_records WHERE request_id = ANY($1::uuid[])"
        " AND request_id >= $2 AND request_id <= $3 ORDER BY request_id FOR UPDATE",
        list(request_ids),
        min(request_ids),
        max(request_ids),
    )
    return {row["request_id"]: _record(row) for row in rows}


async def write(connection: Connection, records: Sequence[Record]) -> int:
    """Inserts or replaces records, but never a final that is not presumed; how many were written."""
    ordered = sorted(records, key=attrgetter("request_id"))
    answer = await connection.execute(_WRITE, *(_column(name, ordered) for name in _TYPES))
    return int(answer.split()[-1])


async def open_records(connection: Connection, worker_id: UUID, *, limit: int) -> list[Record]:
    """Open records of a worker, locked until the end of the transaction."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM usage.usage_records WHERE worker_id = $1 AND status = 'open'"
        " ORDER BY request_id LIMIT $2 FOR UPDATE",
        worker_id,
        limit,
    )
    return [_record(row) for row in rows]


async def workers_with_open_records(connection: Connection, worker_ids: Collection[UUID]) -> set[UUID]:
    """Which of these workers have open records."""
    rows = await connection.fetch(
        "SELECT DISTINCT worker_id FROM usage.usage_records WHERE worker_id = ANY($1::uuid[]) AND status = 'open'",
        list(worker_ids),
    )
    return {row["worker_id"] for row in rows}


async def final_record(connection: Connection, account_id: UUID, request_id: UUID) -> Record | None:
    """The account's final record of this id."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM usage.usage_records WHERE request_id = $1 AND account_id = $2 AND status <> 'open'",
        request_id,
        account_id,
    )
    return _record(row) if row else None


async def final_records(
    connection: Connection,
    conditions: dict[str, object],
    *,
    limit: int,
    offset: int,
    from_oldest: bool = False,
) -> list[Record]:
    """Final records that meet all conditions ("column operator": value), newest first, also where oldest are skipped.

    Their ids come from an index alone, so that even what is skipped by the million costs little.
    """
    where, values = _where(conditions)
    ids = await connection.fetch(
        f"SELECT request_id FROM usage.usage_records WHERE {where}"
        f" ORDER BY request_id {'' if from_oldest else 'DESC'} LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
        *values,
        limit,
        offset,
    )
    if not ids:
        return []
    found = [row["request_id"] for row in ids]
    # The bounds spare the partitions of other months.
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM usage.usage_records WHERE request_id = ANY($1::uuid[])"
        " AND request_id >= $2 AND request_id <= $3 ORDER BY request_id DESC",
        found,
        min(found),
        max(found),
    )
    return [_record(row) for row in rows]


async def charged_records(connection: Connection, conditions: dict[str, object], *, limit: int) -> list[Record]:
    """Records with a cost that meet all conditions ("column operator": value), of all accounts, by request id."""
    where, values = _where(conditions)
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM usage.usage_records WHERE {where} AND cost_nanos > 0"
        f" ORDER BY request_id LIMIT ${len(values) + 1}",
        *values,
        limit,
    )
    return [_record(row) for row in rows]


async def count_of_final_records(connection: Connection, conditions: dict[str, object]) -> int:
    """How many final records meet all conditions ("column operator": value)."""
    where, values = _where(conditions)
    count: int = await connection.fetchval(f"SELECT count(*) FROM usage.usage_records WHERE {where}", *values)
    return count


async def count_of_moved(
    connection: Connection, conditions: dict[str, object], *, from_time: datetime, to_time: datetime = LATEST
) -> int:
    """How many more final records began in a span than have an id of it.

    Those that began long before or after the moment of their id are few and have an index of their own. Of all others
    only those with an id about the ends of the span can be in one and not in the other.
    """
    where, values = _where(conditions)
    begin, end = min(from_time, LATEST), min(to_time, LATEST)
    bounds = (
        *(begin, end, lowest_id(begin), lowest_id(end)),
        *(lowest_id(begin - BESIDE), lowest_id(begin + BESIDE)),
        *(lowest_id(max(end - BESIDE, begin + BESIDE)), lowest_id(end + BESIDE)),
    )
    from_, to, from_id, to_id, *about = (f"${number}" for number in range(len(values) + 1, len(values) + 9))
    records = f"SELECT request_id, start_time FROM usage.usage_records WHERE {where}"
    count: int = await connection.fetchval(
        f"""
        SELECT count(*) FILTER (WHERE start_time >= {from_} AND start_time < {to})
             - count(*) FILTER (WHERE request_id >= {from_id} AND request_id < {to_id})
        FROM (
            {records} AND {ASTRAY}
            UNION ALL {records} AND NOT {ASTRAY} AND request_id >= {about[0]} AND request_id < {about[1]}
            UNION ALL {records} AND NOT {ASTRAY} AND request_id >= {about[2]} AND request_id < {about[3]}
        ) AS moved
        """,
        *values,
        *bounds,
    )
    return count


async def plan_each_time(connection: Connection) -> None:
    """Have statements of this transaction planned for their values.

    A plan for any values knows no months to leave out and takes spans to be short, and deep pages then take five times
    as long.
    """
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")


async def has_astray(connection: Connection, account_id: UUID) -> bool:
    """Whether any of the account's records began long before or after the moment of its id."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM usage.usage_records"
        f" WHERE account_id = $1 AND status <> 'open' AND {ASTRAY} ORDER BY request_id LIMIT 1)",
        account_id,
    )
    return found


async def create_months(connection: Connection, months: Sequence[date]) -> int:
    """Makes the partitions of these months where they are missing; how many were."""
    count: int = await connection.fetchval(
        "SELECT count(*) FILTER (WHERE usage.create_month_partition(month)) FROM unnest($1::date[]) AS month",
        months,
    )
    return count


def _column(name: str, records: Sequence[Record]) -> list[object]:
    """One column of these records, as Postgres takes it."""
    if name == "attempts":
        return [json.dumps([one._asdict() for one in record.attempts]) for record in records]
    return [getattr(record, name) for record in records]


def _record(row: Row) -> Record:
    values = dict(row)
    values["attempts"] = tuple(Attempt(**one) for one in json.loads(values["attempts"]))
    return Record(**values)


def _where(conditions: dict[str, object]) -> tuple[str, list[object]]:
    """The conditions as SQL; `status` is a literal, since the partial indexes must be seen to fit."""
    clauses = ["status <> 'open'"]
    if "status =" in conditions and conditions["status ="] != "success":
        clauses.append("status <> 'success'")
    clauses += [f"{condition} ${number}" for number, condition in enumerate(conditions, 1)]
    return " AND ".join(clauses), list(conditions.values())
