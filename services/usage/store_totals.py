"""SQL of sums over all accounts, from the roll-ups."""

from dataclasses import dataclass
from datetime import date

from asyncpg import Record

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


LONGEST_S = 60
"""There may be very many accounts."""

_DAYS = "day >= coalesce($1::date, '-infinity') AND day <= coalesce($2::date, 'infinity')"
_MODELS = f"{_DAYS} AND ($3::text IS NULL OR model_public_name = $3) AND (chargeable OR NOT $4::boolean)"


async def by_day(connection: Connection, span: Span) -> Totals:
    """Each day, in order."""
    return await _totals(connection, span, "day", order="value", limit=None)


async def by_model(connection: Connection, span: Span, *, limit: int) -> Totals:
    """The models with the highest cost."""
    order = "cost_nanos DESC, requests DESC, value"
    return await _totals(connection, span, "model_public_name", order=order, limit=limit)


async def by_account(connection: Connection, span: Span, *, limit: int) -> Totals:
    """The accounts with the highest cost. The span's model and `chargeable_only` do not count.

    Only the cost is summed of all accounts, which may be very many; the total is that of the models.
    """
    # Room for 100,000 accounts and more, so that their sums need not go through files.
    await connection.execute(f"SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '{LONGEST_S}s'")
    rows = await connection.fetch(
        f"""
        WITH groups AS MATERIALIZED (
            SELECT account_id, sum(cost_nanos) AS cost_nanos FROM usage.usage_daily WHERE {_DAYS} AND requests > 0
            GROUP BY account_id
        ), highest AS (SELECT account_id FROM groups ORDER BY cost_nanos DESC, account_id LIMIT $3)
        SELECT NULL AS value, {SUMS}, (SELECT count(*) FROM groups) AS count FROM usage.model_daily WHERE {_DAYS}
        UNION ALL
        SELECT account_id::text, {SUMS}, 0 FROM usage.usage_daily
        WHERE account_id IN (SELECT account_id FROM highest) AND {_DAYS} GROUP BY account_id
        """,
        span.from_day,
        span.to_day,
        limit,
        timeout=LONGEST_S,
    )
    found = _read(rows)
    highest = sorted(found.groups.items(), key=lambda item: (-item[1].cost_nanos, item[0]))
    return Totals(dict(highest), found.total, found.count)


async def _totals(connection: Connection, span: Span, column: str, *, order: str, limit: int | None) -> Totals:
    rows = await connection.fetch(
        f"""
        WITH groups AS MATERIALIZED (
            SELECT {column} AS value, {SUMS} FROM usage.model_daily WHERE {_MODELS}
            GROUP BY {column} HAVING sum(requests) > 0
        ), highest AS (SELECT * FROM groups ORDER BY {order} LIMIT $5)
        SELECT NULL AS value, {SUMS}, count(*) AS count FROM groups
        UNION ALL SELECT value::text, {", ".join(SUMMED)}, 0 FROM highest
        """,
        span.from_day,
        span.to_day,
        span.model_public_name,
        span.chargeable_only,
        limit,
    )
    return _read(rows)


def _read(rows: list[Record]) -> Totals:
    """The first row is the total with the number of groups."""
    (_, *total, count), *groups = rows
    return Totals({value: Sums(*sums) for value, *sums, _ in groups}, Sums(*(number or 0 for number in total)), count)
