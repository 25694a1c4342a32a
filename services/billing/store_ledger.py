"""SQL of the ledger, which is only ever added to."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.ids import lowest_id, time_of
from kit.paging import Page
from services.billing.ledger import Entry, Filter, RequestCost, RequestTransaction, Transaction, TransactionKind

_DAY = timedelta(days=1)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)

_COLUMNS = (
    "id",
    "kind",
    "account_id",
    "amount_nanos",
    "description",
    "create_time",
    "external_ref",
    "actor_id",
    "request_id",
    "revision",
    "api_key_id",
    "lease_id",
    "price_version_id",
    "record_time",
)
_TYPES = (
    "uuid",
    "text",
    "uuid",
    "bigint",
    "text",
    "timestamptz",
    "text",
    "uuid",
    "uuid",
    "smallint",
    "uuid",
    "uuid",
    "text",
    "timestamptz",
)
_ADD = f"""
INSERT INTO billing.ledger_transactions ({", ".join(_COLUMNS)})
SELECT * FROM unnest({", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))})
ON CONFLICT DO NOTHING RETURNING id
"""
# An account sees what the transaction changed in it, which is less than its amount where a part was absorbed.
_AS_SEEN = f"""
SELECT {", ".join(f"t.{column}" for column in _COLUMNS if column != "amount_nanos")},
       COALESCE(e.amount_nanos, 0) AS amount_nanos
FROM billing.ledger_transactions t
LEFT JOIN billing.ledger_entries e ON e.transaction_id = t.id AND e.account_kind = 'customer'
"""


async def add_transactions(connection: Connection, transactions: Sequence[Transaction]) -> set[UUID]:
    """Adds those that are new by request and revision, or by external reference; returns the ids of the added."""
    if not transactions:
        return set()
    columns = [[getattr(transaction, column) for transaction in transactions] for column in _COLUMNS]
    return {row["id"] for row in await connection.fetch(_ADD, *columns)}


async def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Adds entries, all those of a transaction by one call; the database refuses them unless they sum to zero."""
    if not entries:
        return
    await connection.execute(
        """
        INSERT INTO billing.ledger_entries (transaction_id, account_kind, account_id, amount_nanos)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[])
        """,
        [entry.transaction_id for entry in entries],
        [entry.account_kind for entry in entries],
        [entry.account_id for entry in entries],
        [entry.amount_nanos for entry in entries],
    )


async def booked_charges(
    connection: Connection, requests: Collection[tuple[UUID, int]]
) -> dict[tuple[UUID, int], tuple[UUID, int]]:
    """Account and amount of the charges that are booked, by request and revision."""
    if not requests:
        return {}
    rows = await connection.fetch(
        """
        SELECT t.request_id, t.revision, t.account_id, t.amount_nanos
        FROM unnest($1::uuid[], $2::smallint[]) AS w (request_id, revision)
        JOIN billing.ledger_transactions t USING (request_id, revision)
        """,
        [request_id for request_id, _ in requests],
        [revision for _, revision in requests],
    )
    return {(row["request_id"], row["revision"]): (row["account_id"], row["amount_nanos"]) for row in rows}


async def request_transactions(
    connection: Connection, account_id: UUID, *, request_id: UUID
) -> list[RequestTransaction]:
    """The account's charge of a request, its revision and corrections, oldest first."""
    rows = await connection.fetch(
        f"{_AS_SEEN} WHERE t.account_id = $1 AND t.request_id = $2 ORDER BY t.id", account_id, request_id
    )
    absorbed = await connection.fetch(
        """
        SELECT transaction_id, -amount_nanos AS nanos FROM billing.ledger_entries
        WHERE transaction_id = ANY($1) AND account_kind = 'absorbed'
        """,
        [row["id"] for row in rows],
    )
    nanos = {row["transaction_id"]: row["nanos"] for row in absorbed}
    return [RequestTransaction(transaction=_transaction(row), absorbed_nanos=nanos.get(row["id"], 0)) for row in rows]


async def request_costs(connection: Connection, request_ids: Collection[UUID]) -> dict[UUID, RequestCost]:
    """What these requests have cost, by id; those with nothing booked are left out."""
    rows = await connection.fetch(
        """
        SELECT t.request_id, (array_agg(t.account_id ORDER BY t.id))[1] AS account_id,
               (array_agg(t.api_key_id ORDER BY t.id))[1] AS api_key_id,
               -COALESCE(sum(t.amount_nanos) FILTER (WHERE t.kind = 'charge'), 0)::bigint AS charged_nanos,
               -sum(t.amount_nanos)::bigint AS cost_nanos,
               -COALESCE(sum(e.amount_nanos), 0)::bigint AS absorbed_nanos,
               count(*) FILTER (WHERE t.kind = 'adjustment') AS corrections
        FROM billing.ledger_transactions t
        LEFT JOIN billing.ledger_entries e ON e.transaction_id = t.id AND e.account_kind = 'absorbed'
        WHERE t.request_id = ANY($1) GROUP BY t.request_id
        """,
        list(request_ids),
    )
    return {row[0]: RequestCost(**dict(list(row.items())[1:])) for row in rows}


async def transaction_by_ref(
    connection: Connection, account_id: UUID, *, kind: TransactionKind, external_ref: str
) -> Transaction | None:
    """The transaction of this kind that the reference names within the account."""
    row = await connection.fetchrow(
        f"{_AS_SEEN} WHERE t.account_id = $1 AND t.kind = $2 AND t.external_ref = $3", account_id, kind, external_ref
    )
    return _transaction(row) if row else None


async def transactions(connection: Connection, wanted: Filter, page: Page, *, total: int | None) -> list[Transaction]:
    """One page of the transactions that match, newest first, each with what it changed in its account.

    The ids come from an index alone, so that even what is skipped by the million costs little; with `total`, how many
    match, from the nearer end.
    """
    where, values = _where(wanted)
    order, (limit, offset) = "DESC", page
    if total is not None and page.offset > total // 2:
        limit = max(0, min(page.limit, total - page.offset))
        order, offset = "ASC", max(0, total - page.offset - limit)
    rows = await connection.fetch(
        f"""
        {_AS_SEEN} WHERE t.id = ANY(ARRAY(
            SELECT id FROM billing.ledger_transactions WHERE {where}
            ORDER BY id {order} LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}
        )) ORDER BY t.id DESC
        """,
        *values,
        limit,
        offset,
    )
    return [_transaction(row) for row in rows]


async def transaction_count(connection: Connection, wanted: Filter) -> int:
    """How many transactions match; of a time span, they or all others of the account are counted: the shorter time."""
    total: int = await connection.fetchval(
        """
        SELECT COALESCE(sum(transactions), 0)::bigint FROM billing.ledger_sums
        WHERE ($1::uuid IS NULL OR account_id = $1) AND kind = ANY($2)
        """,
        wanted.account_id,
        list(wanted.kinds),
    )
    if not total or (wanted.from_time is None and wanted.to_time is None):
        return total
    first, last = await _first_and_last(connection, wanted)
    inside = min(wanted.to_time or last, last) - max(wanted.from_time or first, first)
    if inside <= (last - first) / 2:
        return await _counted(connection, wanted)
    if wanted.from_time:
        total -= await _counted(connection, replace(wanted, from_time=None, to_time=wanted.from_time))
    if wanted.to_time:
        total -= await _counted(connection, replace(wanted, from_time=wanted.to_time, to_time=None))
    return total


async def _counted(connection: Connection, wanted: Filter) -> int:
    where, values = _where(wanted)
    count: int = await connection.fetchval(f"SELECT count(*) FROM billing.ledger_transactions WHERE {where}", *values)
    return count


async def _first_and_last(connection: Connection, wanted: Filter) -> tuple[datetime, datetime]:
    """About when the first and the last transaction were booked that match but for their time; there must be one."""
    where, values = _where(replace(wanted, from_time=None, to_time=None))
    ids = f"SELECT id FROM billing.ledger_transactions WHERE {where} ORDER BY id"
    first, last = await connection.fetch(f"({ids} LIMIT 1) UNION ALL ({ids} DESC LIMIT 1)", *values)
    return time_of(first["id"]), time_of(last["id"])


async def credit_sums(connection: Connection, *, from_id: UUID, to_id: UUID) -> dict[TransactionKind, int]:
    """What credit was booked of each kind from an id up to another; adjustments that take or correct do not count."""
    rows = await connection.fetch(
        """
        SELECT kind, sum(amount_nanos)::bigint FROM billing.ledger_transactions
        WHERE kind IN ('top_up', 'plan_credit') AND id >= $1 AND id < $2 GROUP BY kind
        UNION ALL
        SELECT 'adjustment', sum(amount_nanos)::bigint FROM billing.ledger_transactions
        WHERE kind = 'adjustment' AND id >= $1 AND id < $2 AND amount_nanos > 0 AND request_id IS NULL
        HAVING count(*) > 0
        """,
        from_id,
        to_id,
    )
    return {TransactionKind(kind): nanos for kind, nanos in rows}


async def amounts_by_kind(connection: Connection) -> dict[TransactionKind, int]:
    """The amounts of all transactions, by kind."""
    rows = await connection.fetch("SELECT kind, sum(amount_nanos)::bigint FROM billing.ledger_sums GROUP BY kind")
    return {TransactionKind(kind): nanos for kind, nanos in rows}


async def absorbed_nanos(connection: Connection) -> int:
    """The balance of the house account that bears what customers could not pay."""
    nanos: int = await connection.fetchval(
        "SELECT COALESCE(sum(amount_nanos), 0)::bigint FROM billing.ledger_entries WHERE account_kind = 'absorbed'"
    )
    return nanos


def _where(wanted: Filter) -> tuple[str, list[object]]:
    every = [
        ("account_id =", wanted.account_id),
        ("create_time >=", wanted.from_time),
        ("create_time <", wanted.to_time),
        # An id is made with the time beside it: bounds spare other days, with a day more for clocks that were set back.
        ("id >=", lowest_id(wanted.from_time - _DAY) if wanted.from_time else None),
        ("id <", lowest_id(min(wanted.to_time, _LATEST) + _DAY) if wanted.to_time else None),
        ("id <", wanted.before_id),
        ("kind =", next(iter(wanted.kinds)) if len(wanted.kinds) == 1 else None),
    ]
    given = [(condition, value) for condition, value in every if value is not None]
    clauses = ["true", *(f"{condition} ${number}" for number, (condition, _) in enumerate(given, 1))]
    values: list[object] = [value for _, value in given]
    if TransactionKind.CHARGE not in wanted.kinds:
        clauses.append("kind <> 'charge'")  # a literal, since the partial index must be seen to fit
    if 1 < len(wanted.kinds) < len(TransactionKind):
        values.append(list(wanted.kinds))
        clauses.append(f"kind = ANY(${len(values)})")
    return " AND ".join(clauses), values


def _transaction(row: Record) -> Transaction:
    return Transaction(**{**row, "kind": TransactionKind(row["kind"])})
