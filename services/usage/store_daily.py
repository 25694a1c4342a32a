"""SQL that keeps the daily roll-ups, of each account and of all accounts by model, and sums an account's."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import NamedTuple
from uuid import UUID

from kit.database import Connection


class DayKey(NamedTuple):
    """Which roll-up of an account a record belongs to; `day` is the UTC day of its start."""

    account_id: UUID
    day: date
    model_public_name: str
    api_key_id: UUID


class ModelDayKey(NamedTuple):
    """Which roll-up of all accounts a record belongs to.

    The model is the one that answered. Workers have rows of their own, so that they never wait for each other here.
    """

    day: date
    model_public_name: str
    chargeable: bool
    worker_id: UUID


@dataclass(slots=True)
class Sums:
    """What is added up over records."""

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Which roll-ups to read: of one account, days from and to inclusive, None for all."""

    account_id: UUID
    from_day: date | None = None
    to_day: date | None = None
    model_public_name: str | None = None
    api_key_id: UUID | None = None


SUMMED = tuple(field.name for field in fields(Sums))
SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in SUMMED)
_TYPES = {
    **dict.fromkeys(("account_id", "api_key_id", "worker_id"), "uuid"),
    "day": "date",
    "model_public_name": "text",
    "chargeable": "boolean",
}
_IN_RANGE = """
    account_id = $1
    AND ($2::date IS NULL OR day >= $2)
    AND ($3::date IS NULL OR day <= $3)
    AND ($4::text IS NULL OR model_public_name = $4)
    AND ($5::uuid IS NULL OR api_key_id = $5)
"""


def _new(key: tuple[str, ...]) -> str:
    types = [*(_TYPES[name] for name in key), *("bigint" for _ in SUMMED)]
    arrays = ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(types, 1))
    return f"unnest({arrays}) AS new ({', '.join((*key, *SUMMED))})"


def _add(table: str, key: tuple[str, ...]) -> str:
    columns = ", ".join((*key, *SUMMED))
    return f"""
        INSERT INTO usage.{table} AS known ({columns}) SELECT {columns} FROM {_new(key)}
        ON CONFLICT ({", ".join(key)}) DO UPDATE
        SET {", ".join(f"{name} = known.{name} + EXCLUDED.{name}" for name in SUMMED)}
    """


def _subtract(table: str, key: tuple[str, ...]) -> str:
    return f"""
        UPDATE usage.{table} AS known SET {", ".join(f"{name} = known.{name} - new.{name}" for name in SUMMED)}
        FROM {_new(key)}
        WHERE ({", ".join(f"known.{name}" for name in key)}) = ({", ".join(f"new.{name}" for name in key)})
    """


_ADD_DAYS, _SUBTRACT_DAYS = _add("usage_daily", DayKey._fields), _subtract("usage_daily", DayKey._fields)
_ADD_MODELS, _SUBTRACT_MODELS = _add("model_daily", ModelDayKey._fields), _subtract("model_daily", ModelDayKey._fields)


async def add(connection: Connection, sums: Mapping[DayKey, Sums], models: Mapping[ModelDayKey, Sums]) -> None:
    """Adds to the roll-ups, in the one order that lets no two calls wait for each other."""
    await connection.execute(_ADD_DAYS, *_arrays(sums))
    await connection.execute(_ADD_MODELS, *_arrays(models))


async def subtract(connection: Connection, sums: Mapping[DayKey, Sums], models: Mapping[ModelDayKey, Sums]) -> None:
    """Takes from roll-ups what an earlier `add` gave."""
    await connection.execute(_SUBTRACT_DAYS, *_arrays(sums))
    await connection.execute(_SUBTRACT_MODELS, *_arrays(models))


async def sums_by(connection: Connection, column: str, split: str | None, range_: Range) -> dict[tuple[str, str], Sums]:
    """The sums for each value of a column, and of a second one, that has requests, in the order of the values."""
    columns, part = (f"{column}, {split}", f"{split}::text") if split else (column, "''")
    rows = await connection.fetch(
        f"SELECT {column}::text AS value, {part} AS part, {SUMS} FROM usage.usage_daily"
        f" WHERE {_IN_RANGE} GROUP BY {columns} HAVING sum(requests) > 0 ORDER BY {columns}",
        *_parameters(range_),
    )
    return {(value, part): Sums(*sums) for value, part, *sums in rows}


async def sums_of(connection: Connection, range_: Range) -> Sums:
    """The sums over all of the range."""
    row = await connection.fetchrow(
        f"SELECT {SUMS} FROM usage.usage_daily WHERE {_IN_RANGE} HAVING count(*) > 0", *_parameters(range_)
    )
    return Sums(*row) if row else Sums()


async def counts_by_day(connection: Connection, range_: Range, *, status: str | None) -> list[tuple[date, int]]:
    """How many requests each day has, in any order; `status` is None for all or `success`."""
    rows = await connection.fetch(
        f"SELECT day, sum(requests - CASE WHEN $6 THEN errors ELSE 0 END)::bigint FROM usage.usage_daily"
        f" WHERE {_IN_RANGE} GROUP BY day",
        *_parameters(range_),
        status == "success",
    )
    return [(day, count) for day, count in rows]


def _parameters(range_: Range) -> tuple[object, ...]:
    return range_.account_id, range_.from_day, range_.to_day, range_.model_public_name, range_.api_key_id


def _arrays(sums: Mapping[DayKey, Sums] | Mapping[ModelDayKey, Sums]) -> list[list[object]]:
    rows = [
        (*key, *(getattr(part, name) for name in SUMMED))
        for key, part in sorted(sums.items(), key=lambda item: item[0])
    ]
    return [list(column) for column in zip(*rows, strict=True)]
