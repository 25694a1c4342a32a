"""SQL of sums over all accounts, from the roll-ups."""

from dataclasses import dataclass
from datetime import date

from kit.database import Connection
from services.usage.store_daily import SUMMED, SUMS, Sums


@dataclass(frozen=True, slots=True)
class Span:
    """Which requests of all accounts to sum: days from and to inclusive, None for all."""

    from_day: date | None
    to_day: date | None
    model_public_name: str | None
    chargeable_only: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the groups that were asked for, over all groups, and how many there are."""

    groups: dict[str, Sums]
    total: Sums
    count: int


_DAYS = "day >= coalesce($1::date, '-infinity') AND day <= coalesce($2::date, 'infinity')"
_MODELS = f"{_DAYS} AND ($3::text IS NULL OR model_public_name = $3) AND (chargeable OR NOT $4::boolean)"


async def by_day(connection: Connection, span: Span) -> Totals:
    """Each day, in order."""
    return await _totals(connection, span, "model_daily", _MODELS, "day", order="value", limit=None)


async def by_model(connection: Connection, span: Span, *, limit: int) -> Totals:
    """The models with the highest cost."""
    order = "cost_nanos DESC, requests DESC, value"
    return await _totals(connection, span, "model_daily", _MODELS, "model_public_name", order=order, limit=limit)


async def by_account(connection: Connection, span: Span, *, limit: int) -> Totals:
    """The accounts with the highest cost. The span's model and `chargeable_only` do not count."""
    order = "cost_nanos DESC, requests DESC, value"
    return await _totals(connection, span, "usage_daily", _DAYS, "account_id", order=order, limit=limit)


async def _totals(
    connection: Connection, span: Span, table: str, where: str, column: str, *, order: str, limit: int | None
) -> Totals:
    values: list[object] = [span.from_day, span.to_day]
    values = [*values, span.model_public_name, span.chargeable_only] if table == "model_daily" else values
    rows = await connection.fetch(
        f"""
        WITH groups AS MATERIALIZED (
            SELECT {column} AS value, {SUMS} FROM usage.{table} WHERE {where}
            GROUP BY {column} HAVING sum(requests) > 0
        ), highest AS (SELECT * FROM groups ORDER BY {order} LIMIT ${len(values) + 1})
        SELECT NULL AS value, {SUMS}, count(*) AS count FROM groups
        UNION ALL SELECT value::text, {", ".join(SUMMED)}, 0 FROM highest
        """,
        *values,
        limit,
    )
    (_, *total, count), *groups = rows
    return Totals({value: Sums(*sums) for value, *sums, _ in groups}, Sums(*(number or 0 for number in total)), count)
