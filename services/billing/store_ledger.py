"""SQL of the ledger, which is only ever added to."""

from collections.abc import Collection, Sequence
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.paging import Page
from services.billing.ledger import Entry, RequestCost, RequestTransaction, Transaction, TransactionKind

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


async def transactions(
    connection: Connection, account_id: UUID, *, kinds: Collection[TransactionKind], page: Page
) -> list[Transaction]:
    """One page of an account's transactions, newest first, each with what it changed in the account."""
    rows = await connection.fetch(
        f"{_AS_SEEN} WHERE t.account_id = $1 AND t.kind = ANY($2) ORDER BY t.id DESC LIMIT $3 OFFSET $4",
        account_id,
        list(kinds),
        page.limit,
        page.offset,
    )
    return [_transaction(row) for row in rows]


async def transaction_count(connection: Connection, account_id: UUID, *, kinds: Collection[TransactionKind]) -> int:
    """How many transactions of these kinds an account has."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM billing.ledger_transactions WHERE account_id = $1 AND kind = ANY($2)",
        account_id,
        list(kinds),
    )
    return count


def _transaction(row: Record) -> Transaction:
    return Transaction(**{**row, "kind": TransactionKind(row["kind"])})
