"""SQL of the daily roll-ups."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from kit.database import Connection


class DayKey(NamedTuple):
    """Which roll-up a record belongs to; `day` is the UTC day of its start."""

    account_id: UUID
    day: date
    model_public_name: str
    api_key_id: UUID


@dataclass(slots=True)
class Sums:
    """What is added up over records."""

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Which roll-ups to read: of one account, days from and to inclusive, None for all."""

    account_id: UUID
    from_day: date | None = None
    to_day: date | None = None
    model_public_name: str | None = None
    api_key_id: UUID | None = None


_SUMS = "sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,"
_SUMS += " sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,"
_SUMS += " sum(cost_nanos)::bigint AS cost_nanos"
_IN_RANGE = """
    account_id = $1
    AND ($2::date IS NULL OR day >= $2)
    AND ($3::date IS NULL OR day <= $3)
    AND ($4::text IS NULL OR model_public_name = $4)
    AND ($5::uuid IS NULL OR api_key_id = $5)
"""
_UNNEST = """
    unnest($1::uuid[], $2::date[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
           $9::bigint[])
    AS new (account_id, day, model_public_name, api_key_id, requests, errors, input_tokens, output_tokens, cost_nanos)
"""


async def add(connection: Connection, sums: Mapping[DayKey, Sums]) -> None:
    """Adds to the roll-ups, in the one order that lets no two calls wait for each other."""
    await connection.execute(
        f"""
        INSERT INTO usage.usage_daily AS known SELECT * FROM {_UNNEST}
        ON CONFLICT (account_id, day, model_public_name, api_key_id) DO UPDATE SET
            requests = known.requests + EXCLUDED.requests,
            errors = known.errors + EXCLUDED.errors,
            input_tokens = known.input_tokens + EXCLUDED.input_tokens,
            output_tokens = known.output_tokens + EXCLUDED.output_tokens,
            cost_nanos = known.cost_nanos + EXCLUDED.cost_nanos
        """,
        *_arrays(sums),
    )


async def subtract(connection: Connection, sums: Mapping[DayKey, Sums]) -> None:
    """Takes from roll-ups what an earlier `add` gave."""
    await connection.execute(
        f"""
        UPDATE usage.usage_daily AS known SET
            requests = known.requests - new.requests,
            errors = known.errors - new.errors,
            input_tokens = known.input_tokens - new.input_tokens,
            output_tokens = known.output_tokens - new.output_tokens,
            cost_nanos = known.cost_nanos - new.cost_nanos
        FROM {_UNNEST}
        WHERE (known.account_id, known.day, known.model_public_name, known.api_key_id)
            = (new.account_id, new.day, new.model_public_name, new.api_key_id)
        """,
        *_arrays(sums),
    )


async def sums_by(connection: Connection, column: str, range_: Range) -> dict[str, Sums]:
    """The sums for each value of a column that has requests, in the order of the values."""
    rows = await connection.fetch(
        f"SELECT {column}::text AS value, {_SUMS} FROM usage.usage_daily WHERE {_IN_RANGE}"
        f" GROUP BY {column} HAVING sum(requests) > 0 ORDER BY {column}",
        *_parameters(range_),
    )
    return {value: Sums(*sums) for value, *sums in rows}


async def sums_of(connection: Connection, range_: Range) -> Sums:
    """The sums over all of the range."""
    row = await connection.fetchrow(
        f"SELECT {_SUMS} FROM usage.usage_daily WHERE {_IN_RANGE} HAVING count(*) > 0", *_parameters(range_)
    )
    return Sums(*row) if row else Sums()


def _parameters(range_: Range) -> tuple[object, ...]:
    return range_.account_id, range_.from_day, range_.to_day, range_.model_public_name, range_.api_key_id


def _arrays(sums: Mapping[DayKey, Sums]) -> list[list[object]]:
    rows = [
        (*key, part.requests, part.errors, part.input_tokens, part.output_tokens, part.cost_nanos)
        for key, part in sorted(sums.items(), key=lambda item: item[0])
    ]
    return [list(column) for column in zip(*rows, strict=True)]
