"""SQL of the audit: what the books should say, recomputed from entries and leases; it only reads.

Each part is walked in pages of ids; `since` is None for all of them. The statements of one page must run in one
snapshot (`Database.reader`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from kit.database import Connection

LONGEST_S = 60
"""One account may have millions of entries."""

_REMAINDER = "granted_nanos - returned_nanos - settled_nanos"
_ACCOUNTS_SINCE = """(
    SELECT account_id FROM billing.ledger_transactions WHERE id >= $3
    UNION SELECT account_id FROM billing.leases WHERE state <> 'released'
    UNION SELECT account_id FROM billing.leases WHERE lease_id >= $3 AND account_id IS NOT NULL
) AS touched"""
_KEY_MONTHS_SINCE = """(
    SELECT api_key_id, month FROM billing.leases WHERE state <> 'released'
    UNION SELECT api_key_id, month FROM billing.leases WHERE lease_id >= $4 AND api_key_id IS NOT NULL
    UNION SELECT api_key_id, month FROM billing.key_months WHERE api_key_id IN (
        SELECT api_key_id FROM billing.ledger_transactions WHERE id >= $4 AND api_key_id IS NOT NULL)
) AS touched"""


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a transaction: their number, their sum, what they do to its account, and whether to another."""

    transaction_id: UUID
    amount_nanos: int
    entries: int
    sum_nanos: int
    customer_nanos: int
    astray: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as it is stored, and as its entries and leases say.

    `settled_nanos` is the part of `entries_nanos` up to the transaction that was asked for.
    """

    account_id: UUID
    posted_nanos: int
    leased_nanos: int
    entries_nanos: int
    settled_nanos: int
    remainders_nanos: int


@dataclass(frozen=True, slots=True)
class KeyBalance:
    """A key's month as it is stored, and as its leases say."""

    api_key_id: UUID
    month: date
    charged_nanos: int
    leased_nanos: int
    remainders_nanos: int


@dataclass(frozen=True, slots=True)
class KeyCharges:
    """What a key was charged in a month; `settled_nanos` is the part up to the transaction that was asked for."""

    api_key_id: UUID
    month: date
    nanos: int
    settled_nanos: int


@dataclass(frozen=True, slots=True)
class RequestCharge:
    """What a request was charged in all, by revisions of one account."""

    record_time: datetime
    request_id: UUID
    account_id: UUID
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class UnreleasedLease:
    """A lease that is not released; `late_ms` is how long ago it expired, negative where it has not yet."""

    lease_id: UUID
    worker_id: UUID
    account_id: UUID
    remainder_nanos: int
    late_ms: int


async def allow_time(connection: Connection) -> None:
    """Lets the statements of this transaction run for up to LONGEST_S each."""
    await connection.execute(f"SET LOCAL statement_timeout = '{LONGEST_S}s'")


async def transaction_ids(connection: Connection, after: UUID, *, limit: int) -> list[UUID]:
    """The next transactions by id."""
    rows = await connection.fetch(
        "SELECT id FROM billing.ledger_transactions WHERE id > $1 ORDER BY id LIMIT $2", after, limit, timeout=LONGEST_S
    )
    return [row[0] for row in rows]


async def wrong_entries(connection: Connection, transaction_ids: Sequence[UUID]) -> list[Entries]:
    """Which of these transactions have other entries than they must have."""
    rows = await connection.fetch(
        """
        SELECT * FROM (
            SELECT t.id, t.amount_nanos, count(e.transaction_id) AS entries,
                   COALESCE(sum(e.amount_nanos), 0)::bigint AS sum_nanos,
                   COALESCE(sum(e.amount_nanos) FILTER (WHERE e.account_kind IN ('customer', 'absorbed')), 0)::bigint
                       AS customer_nanos,
                   COALESCE(bool_or(e.account_kind = 'customer' AND e.account_id IS DISTINCT FROM t.account_id), false)
                       AS astray
            FROM billing.ledger_transactions t LEFT JOIN billing.ledger_entries e ON e.transaction_id = t.id
            WHERE t.id = ANY($1) GROUP BY t.id
        ) AS judged
        WHERE entries = 0 OR sum_nanos <> 0 OR customer_nanos <> amount_nanos OR astray
        ORDER BY id
        """,
        transaction_ids,
        timeout=LONGEST_S,
    )
    return [Entries(*row) for row in rows]


async def account_ids(connection: Connection, after: UUID, *, since: UUID | None, limit: int) -> list[UUID]:
    """The next accounts by id; `since` a transaction or lease id: only those with newer ones, or with leases."""
    source, values = ("billing.accounts", ()) if since is None else (_ACCOUNTS_SINCE, (since,))
    rows = await connection.fetch(
        f"SELECT account_id FROM {source} WHERE account_id > $1 ORDER BY account_id LIMIT $2",
        after,
        limit,
        *values,
        timeout=LONGEST_S,
    )
    return [row[0] for row in rows]


async def balances(
    connection: Connection, account_ids: Sequence[UUID], *, known: Mapping[UUID, tuple[UUID, int]], settled_id: UUID
) -> list[Balance]:
    """These accounts. `known` spares reading old entries: up to that transaction, they are known to sum to so much."""
    nothing = (UUID(int=0), 0)
    rows = await connection.fetch(
        f"""
        SELECT a.account_id, a.posted_nanos, a.leased_nanos, known.nanos + COALESCE(e.nanos, 0),
               known.nanos + COALESCE(e.settled_nanos, 0), COALESCE(l.nanos, 0)
        FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS known (account_id, transaction_id, nanos)
        JOIN billing.accounts a USING (account_id)
        LEFT JOIN LATERAL (
            SELECT sum(entry.amount_nanos)::bigint AS nanos,
                   (sum(entry.amount_nanos) FILTER (WHERE t.id <= $4))::bigint AS settled_nanos
            FROM billing.ledger_transactions t
            JOIN billing.ledger_entries entry ON entry.transaction_id = t.id AND entry.account_kind = 'customer'
            WHERE t.account_id = known.account_id AND t.id > known.transaction_id
        ) AS e ON true
        LEFT JOIN (
            SELECT account_id, sum({_REMAINDER})::bigint AS nanos FROM billing.leases
            WHERE state <> 'released' GROUP BY account_id
        ) AS l USING (account_id)
        ORDER BY a.account_id
        """,
        account_ids,
        [known.get(account_id, nothing)[0] for account_id in account_ids],
        [known.get(account_id, nothing)[1] for account_id in account_ids],
        settled_id,
        timeout=LONGEST_S,
    )
    return [Balance(*row) for row in rows]


async def key_months(
    connection: Connection, after: tuple[UUID, date], *, since: UUID | None, limit: int
) -> list[tuple[UUID, date]]:
    """The next keys' months; `since` as for `account_ids`."""
    source, values = ("billing.key_months", ()) if since is None else (_KEY_MONTHS_SINCE, (since,))
    rows = await connection.fetch(
        f"SELECT api_key_id, month FROM {source} WHERE (api_key_id, month) > ($1, $2) ORDER BY 1, 2 LIMIT $3",
        *after,
        limit,
        *values,
        timeout=LONGEST_S,
    )
    return [(row[0], row[1]) for row in rows]


async def key_balances(connection: Connection, key_months: Sequence[tuple[UUID, date]]) -> list[KeyBalance]:
    """These keys' months; one that is not stored has nothing."""
    rows = await connection.fetch(
        f"""
        SELECT api_key_id, month, COALESCE(k.charged_nanos, 0), COALESCE(k.leased_nanos, 0), COALESCE(l.nanos, 0)
        FROM unnest($1::uuid[], $2::date[]) AS wanted (api_key_id, month)
        LEFT JOIN billing.key_months k USING (api_key_id, month)
        LEFT JOIN (
            SELECT api_key_id, month, sum({_REMAINDER})::bigint AS nanos FROM billing.leases
            WHERE state <> 'released' GROUP BY api_key_id, month
        ) AS l USING (api_key_id, month)
        ORDER BY api_key_id, month
        """,
        [api_key_id for api_key_id, _ in key_months],
        [month for _, month in key_months],
        timeout=LONGEST_S,
    )
    return [KeyBalance(*row) for row in rows]


async def key_charges(connection: Connection, known_ids: Mapping[UUID, UUID], *, settled_id: UUID) -> list[KeyCharges]:
    """What these keys were charged after a transaction each, by the month that a charge belongs to.

    That is its lease's, where that is one of the same account and key, else the month in which it was booked.
    """
    rows = await connection.fetch(
        """
        SELECT t.api_key_id, COALESCE(l.month, date_trunc('month', t.create_time AT TIME ZONE 'UTC')::date),
               -sum(t.amount_nanos)::bigint, COALESCE(-sum(t.amount_nanos) FILTER (WHERE t.id <= $3), 0)::bigint
        FROM unnest($1::uuid[], $2::uuid[]) AS known (api_key_id, transaction_id)
        JOIN billing.ledger_transactions t
            ON t.kind = 'charge' AND t.api_key_id = known.api_key_id AND t.id > known.transaction_id
        LEFT JOIN billing.leases l
            ON (l.lease_id, l.account_id, l.api_key_id) = (t.lease_id, t.account_id, t.api_key_id)
        GROUP BY 1, 2
        """,
        list(known_ids),
        list(known_ids.values()),
        settled_id,
        timeout=LONGEST_S,
    )
    return [KeyCharges(*row) for row in rows]


async def lease_ids(connection: Connection, after: UUID, *, limit: int) -> list[UUID]:
    """The next leases by id, released ones too."""
    rows = await connection.fetch(
        "SELECT lease_id FROM billing.leases WHERE lease_id > $1 ORDER BY lease_id LIMIT $2",
        after,
        limit,
        timeout=LONGEST_S,
    )
    return [row[0] for row in rows]


async def released_remainders(connection: Connection, lease_ids: Sequence[UUID]) -> list[tuple[UUID, int]]:
    """Which of these leases are released and still set something aside, and how much."""
    rows = await connection.fetch(
        f"""
        SELECT lease_id, {_REMAINDER} FROM billing.leases
        WHERE lease_id = ANY($1) AND state = 'released' AND {_REMAINDER} <> 0 ORDER BY lease_id
        """,
        lease_ids,
        timeout=LONGEST_S,
    )
    return [(row[0], row[1]) for row in rows]


async def charges(
    connection: Connection,
    after: tuple[datetime, UUID, UUID],
    *,
    to_time: datetime | None,
    limit: int,
) -> list[RequestCharge]:
    """The next charged requests by record time, request and account."""
    rows = await connection.fetch(
        """
        SELECT record_time, request_id, account_id, -sum(amount_nanos)::bigint
        FROM billing.ledger_transactions
        WHERE kind = 'charge' AND record_time >= $1 AND (record_time, request_id, account_id) > ($1, $2, $3)
            AND record_time < COALESCE($4, 'infinity'::timestamptz)
        GROUP BY record_time, request_id, account_id ORDER BY record_time, request_id, account_id LIMIT $5
        """,
        *after,
        to_time,
        limit,
        timeout=LONGEST_S,
    )
    return [RequestCharge(*row) for row in rows]


async def charges_of(connection: Connection, request_ids: Sequence[UUID]) -> list[RequestCharge]:
    """What these requests were charged, by account."""
    rows = await connection.fetch(
        """
        SELECT min(record_time), request_id, account_id, -sum(amount_nanos)::bigint FROM billing.ledger_transactions
        WHERE kind = 'charge' AND request_id = ANY($1) GROUP BY request_id, account_id ORDER BY request_id, account_id
        """,
        request_ids,
    )
    return [RequestCharge(*row) for row in rows]


async def unreleased_leases(
    connection: Connection, after: UUID, *, least_late_ms: int | None, limit: int
) -> list[UnreleasedLease]:
    """The next unreleased leases by id; only those that expired so long ago, where that is given."""
    rows = await connection.fetch(
        f"""
        SELECT lease_id, worker_id, account_id, {_REMAINDER}, uptime_ms - expire_uptime_ms
        FROM billing.leases, billing.uptime
        WHERE state <> 'released' AND lease_id > $1 AND ($2::bigint IS NULL OR expire_uptime_ms <= uptime_ms - $2)
        ORDER BY lease_id LIMIT $3
        """,
        after,
        least_late_ms,
        limit,
    )
    return [UnreleasedLease(*row) for row in rows]
