"""SQL of the locked rows (accounts, keys' months, leases): locking them, writing them back, and what is read before.

Locks are taken in one order everywhere: accounts, keys' months, leases, each by id; so transactions wait for each
other, but never in a circle. store_accounts.py and store_ledger.py have the SQL of the rest.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.errors import Unavailable
from kit.ids import lowest_id
from services.billing.books import Account, Books, KeyMonth, Lease, LeaseState

ACCOUNT_COLUMNS = "account_id, plan_id, posted_nanos, leased_nanos, recall_until, create_time"
_LEASE_COLUMNS = """lease_id, worker_id, account_id, api_key_id, month, state, granted_nanos, returned_nanos,
       settled_nanos, spent_nanos, expire_uptime_ms"""

LOCK_ACCOUNTS = f"""
SELECT {ACCOUNT_COLUMNS} FROM billing.accounts WHERE account_id = ANY($1) ORDER BY account_id FOR NO KEY UPDATE
"""
# A month that nobody has used yet needs a row to lock.
_LOCK_KEY_MONTHS = """
INSERT INTO billing.key_months AS k (api_key_id, month, charged_nanos, leased_nanos)
SELECT api_key_id, month, 0, 0 FROM unnest($1::uuid[], $2::date[]) AS wanted (api_key_id, month) ORDER BY 1, 2
ON CONFLICT (api_key_id, month) DO UPDATE SET leased_nanos = k.leased_nanos
RETURNING k.api_key_id, k.month, k.charged_nanos, k.leased_nanos
"""
_LOCK_LEASES = f"""
SELECT {_LEASE_COLUMNS} FROM billing.leases WHERE lease_id = ANY($1) ORDER BY lease_id FOR NO KEY UPDATE
"""

# The guard: whatever was decided, no more is set aside or taken than the row has at this moment.
GUARD = "a.posted_nanos - a.leased_nanos >= d.leased_nanos - d.posted_nanos"
SAVE_ACCOUNTS = f"""
UPDATE billing.accounts AS a
SET posted_nanos = a.posted_nanos + d.posted_nanos, leased_nanos = a.leased_nanos + d.leased_nanos,
    plan_id = d.plan_id, recall_until = d.recall_until
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[])
    AS d (account_id, posted_nanos, leased_nanos, plan_id, recall_until)
WHERE a.account_id = d.account_id AND {GUARD}
"""
_SAVE_KEY_MONTHS = """
UPDATE billing.key_months AS k
SET charged_nanos = k.charged_nanos + d.charged_nanos, leased_nanos = k.leased_nanos + d.leased_nanos
FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[]) AS d (api_key_id, month, charged_nanos, leased_nanos)
WHERE k.api_key_id = d.api_key_id AND k.month = d.month
"""
_SAVE_LEASES = """
UPDATE billing.leases AS l
SET state = d.state, granted_nanos = d.granted_nanos, returned_nanos = d.returned_nanos,
    settled_nanos = d.settled_nanos, spent_nanos = d.spent_nanos, expire_uptime_ms = d.expire_uptime_ms
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS d (lease_id, state, granted_nanos, returned_nanos, settled_nanos, spent_nanos, expire_uptime_ms)
WHERE l.lease_id = d.lease_id
"""
_ADD_LEASES = f"""
INSERT INTO billing.leases ({_LEASE_COLUMNS})
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::text[], $7::bigint[], $8::bigint[],
                     $9::bigint[], $10::bigint[], $11::bigint[]) ORDER BY 1
ON CONFLICT (lease_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """What is known of a lease before anything is locked: its owner never changes; `returned_nanos` only grows.

    Account, key and month are None where it was closed before it began.
    """

    lease_id: UUID
    worker_id: UUID
    account_id: UUID | None
    api_key_id: UUID | None
    month: date | None
    returned_nanos: int
    recall_until: datetime | None


def accounts_of(facts: Iterable[LeaseFacts]) -> set[UUID]:
    """The accounts of leases that ever began."""
    return {lease.account_id for lease in facts if lease.account_id is not None}


def key_months_of(facts: Iterable[LeaseFacts]) -> set[tuple[UUID, date]]:
    """The keys' months of leases that ever began."""
    return {
        (lease.api_key_id, lease.month) for lease in facts if lease.api_key_id is not None and lease.month is not None
    }


async def lock(
    connection: Connection,
    *,
    accounts: Collection[UUID] = (),
    key_months: Collection[tuple[UUID, date]] = (),
    leases: Collection[UUID] = (),
) -> Books:
    """These rows as they stand now, locked until the transaction ends; unknown accounts and leases are left out."""
    books = Books()
    account_rows: Sequence[Record] = ()
    key_rows: Sequence[Record] = ()
    lease_rows: Sequence[Record] = ()
    if accounts:
        account_rows = await connection.fetch(LOCK_ACCOUNTS, list(accounts))
    if key_months:
        keys = sorted(set(key_months))
        key_rows = await connection.fetch(_LOCK_KEY_MONTHS, [key for key, _ in keys], [month for _, month in keys])
    if leases:
        lease_rows = await connection.fetch(_LOCK_LEASES, list(leases))
    books.enter(
        accounts=[account(row) for row in account_rows],
        key_months=[KeyMonth(**row) for row in key_rows],
        leases=[_lease(row) for row in lease_rows],
    )
    return books


async def save(connection: Connection, books: Books) -> None:
    """Writes what was changed, in the order of the locks; Unavailable where a row is no longer as it was locked."""
    if accounts := books.changed_accounts():
        done = await connection.execute(
            SAVE_ACCOUNTS,
            [now.account_id for now, _ in accounts],
            [now.posted_nanos - before.posted_nanos for now, before in accounts],
            [now.leased_nanos - before.leased_nanos for now, before in accounts],
            [now.plan_id for now, _ in accounts],
            [now.recall_until for now, _ in accounts],
        )
        _require(done, len(accounts))
    if key_months := books.changed_key_months():
        done = await connection.execute(
            _SAVE_KEY_MONTHS,
            [now.api_key_id for now, _ in key_months],
            [now.month for now, _ in key_months],
            [now.charged_nanos - before.charged_nanos for now, before in key_months],
            [now.leased_nanos - before.leased_nanos for now, before in key_months],
        )
        _require(done, len(key_months))
    if leases := books.changed_leases():
        done = await connection.execute(
            _SAVE_LEASES,
            [lease.lease_id for lease in leases],
            [lease.state for lease in leases],
            [lease.granted_nanos for lease in leases],
            [lease.returned_nanos for lease in leases],
            [lease.settled_nanos for lease in leases],
            [lease.spent_nanos for lease in leases],
            [lease.expire_uptime_ms for lease in leases],
        )
        _require(done, len(leases))
    if begun := books.new_leases():
        await add_leases(connection, begun)


async def add_leases(connection: Connection, leases: Sequence[Lease]) -> None:
    """Adds leases; Unavailable where one of them has come to exist meanwhile."""
    done = await connection.execute(
        _ADD_LEASES,
        [lease.lease_id for lease in leases],
        [lease.worker_id for lease in leases],
        [lease.account_id for lease in leases],
        [lease.api_key_id for lease in leases],
        [lease.month for lease in leases],
        [lease.state for lease in leases],
        [lease.granted_nanos for lease in leases],
        [lease.returned_nanos for lease in leases],
        [lease.settled_nanos for lease in leases],
        [lease.spent_nanos for lease in leases],
        [lease.expire_uptime_ms for lease in leases],
    )
    _require(done, len(leases))


async def lease_facts(connection: Connection, lease_ids: Collection[UUID]) -> dict[UUID, LeaseFacts]:
    """What never changes about these leases, by id, with the recall of their accounts; unknown ones are left out."""
    if not lease_ids:
        return {}
    rows = await connection.fetch(
        """
        SELECT l.lease_id, l.worker_id, l.account_id, l.api_key_id, l.month, l.returned_nanos, a.recall_until
        FROM billing.leases l LEFT JOIN billing.accounts a USING (account_id) WHERE l.lease_id = ANY($1)
        """,
        list(lease_ids),
    )
    return {row["lease_id"]: LeaseFacts(*row) for row in rows}


async def releasable_leases(
    connection: Connection, worker_ids: Collection[UUID], *, expired_before_ms: int
) -> dict[UUID, LeaseFacts]:
    """The unreleased leases of these workers that had expired by a moment of billing's uptime, by id."""
    if not worker_ids:
        return {}
    rows = await connection.fetch(
        """
        SELECT lease_id, worker_id, account_id, api_key_id, month, returned_nanos, NULL
        FROM billing.leases
        WHERE state <> 'released' AND expire_uptime_ms <= $2 AND worker_id = ANY($1)
        """,
        list(worker_ids),
        expired_before_ms,
    )
    return {row["lease_id"]: LeaseFacts(*row) for row in rows}


async def delete_leases(connection: Connection, moment: datetime, *, kept: timedelta, limit: int) -> int:
    """Deletes the oldest leases of those begun before a moment, and released and long expired since; how many.

    What counts is the moment in the id, which is of an edge's clock, and the time of expiry, of billing's own. One that
    was charged after its month stays: by its row the books know to which month of the key those charges belong. So does
    one that has another month than its id: a trigger of the ledger tells by the id what may be late.
    """
    answer = await connection.execute(
        """
        DELETE FROM billing.leases WHERE lease_id IN (
            SELECT lease_id FROM billing.leases AS l
            WHERE lease_id < $1 AND state = 'released' AND (month IS NULL OR month = billing.month_of_id(lease_id))
                AND expire_uptime_ms <= (SELECT uptime_ms FROM billing.uptime) - $2::bigint
                AND NOT EXISTS (SELECT FROM billing.late_leases WHERE lease_id = l.lease_id)
            ORDER BY lease_id LIMIT $3 FOR UPDATE SKIP LOCKED)
        """,
        lowest_id(moment),
        kept // timedelta(milliseconds=1),
        limit,
    )
    return int(answer.split()[-1])


async def workers_with_expired_leases(connection: Connection, *, uptime_ms: int) -> list[UUID]:
    """Workers with leases that have expired and are not released."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT worker_id FROM billing.leases
        WHERE state <> 'released' AND expire_uptime_ms <= $1 ORDER BY worker_id
        """,
        uptime_ms,
    )
    return [row["worker_id"] for row in rows]


async def uptime_ms(connection: Connection) -> int:
    """How long billing has been up, ever, as of the last beat."""
    found: int = await connection.fetchval("SELECT uptime_ms FROM billing.uptime")
    return found


async def beat(connection: Connection, now: datetime, *, most_ms: int) -> int:
    """Adds the time since the last beat to billing's uptime, though at most `most_ms`; returns the new uptime."""
    found: int = await connection.fetchval(
        """
        UPDATE billing.uptime
        SET uptime_ms = uptime_ms + least($2, greatest(0, floor(extract(epoch FROM $1 - beat_time) * 1000)::bigint)),
            beat_time = $1
        RETURNING uptime_ms
        """,
        now,
        most_ms,
    )
    return found


def account(row: Record) -> Account:
    """An account of a row with ACCOUNT_COLUMNS."""
    return Account(**row)


def _lease(row: Record) -> Lease:
    return Lease(**{**row, "state": LeaseState(row["state"])})


def _require(done: str, count: int) -> None:
    """The locks make this true; should it ever be false, nothing is committed and the caller may ask again."""
    if done.rpartition(" ")[2] != str(count):
        raise Unavailable("the rows were changed by somebody else meanwhile")
