"""SQL of accounts beside their locking: opening and reading them, the list of changes, and what keys have spent."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from kit.database import Connection
from services.billing.books import Account
from services.billing.store import ACCOUNT_COLUMNS, account

CHANGES_LOCK = 5_730_461_928
"""Key of the advisory lock of billing.account_changes."""


async def add_account(connection: Connection, new: Account) -> bool:
    """Adds an account with nothing in it; False where it exists."""
    done = await connection.execute(
        """
        INSERT INTO billing.accounts (account_id, plan_id, posted_nanos, leased_nanos, create_time)
        VALUES ($1, $2, 0, 0, $3) ON CONFLICT DO NOTHING
        """,
        new.account_id,
        new.plan_id,
        new.create_time,
    )
    return done == "INSERT 0 1"


async def accounts(connection: Connection, account_ids: Collection[UUID]) -> list[Account]:
    """The accounts that exist of these."""
    rows = await connection.fetch(
        f"SELECT {ACCOUNT_COLUMNS} FROM billing.accounts WHERE account_id = ANY($1)", list(account_ids)
    )
    return [account(row) for row in rows]


async def note_change(connection: Connection, account_id: UUID, now: datetime) -> None:
    """Adds to the list of changes; call it last, since it holds up all others until the transaction ends.

    So numbers become visible in their order: who has seen one has seen all lower ones.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", CHANGES_LOCK)
    await connection.execute(
        "INSERT INTO billing.account_changes (account_id, create_time) VALUES ($1, $2)", account_id, now
    )


async def changes_after(connection: Connection, sequence: int, *, limit: int) -> list[tuple[int, UUID]]:
    """Sequence number and account of the changes above a sequence number, in order."""
    rows = await connection.fetch(
        "SELECT sequence, account_id FROM billing.account_changes WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        sequence,
        limit,
    )
    return [(row["sequence"], row["account_id"]) for row in rows]


async def last_change(connection: Connection) -> int:
    """The highest sequence number of a change; 0 where there is none."""
    found: int = await connection.fetchval("SELECT COALESCE(max(sequence), 0) FROM billing.account_changes")
    return found


async def delete_changes(connection: Connection, moment: datetime, *, limit: int) -> int:
    """Deletes the oldest changes from before a moment; how many. The last one stays: it says where the list ends."""
    answer = await connection.execute(
        """
        DELETE FROM billing.account_changes WHERE sequence IN (
            SELECT sequence FROM billing.account_changes
            WHERE create_time < $1 AND sequence < (SELECT max(sequence) FROM billing.account_changes)
            ORDER BY sequence LIMIT $2)
        """,
        moment,
        limit,
    )
    return int(answer.split()[-1])


async def key_spend(connection: Connection, api_key_ids: Collection[UUID], *, month: date) -> dict[UUID, int]:
    """What these keys were charged in a month; those that spent nothing are left out."""
    rows = await connection.fetch(
        """
        SELECT api_key_id, charged_nanos FROM billing.key_months
        WHERE api_key_id = ANY($1) AND month = $2 AND charged_nanos <> 0
        """,
        list(api_key_ids),
        month,
    )
    return {row["api_key_id"]: row["charged_nanos"] for row in rows}


async def posted_nanos(connection: Connection) -> int:
    """What is posted to all accounts together."""
    nanos: int = await connection.fetchval("SELECT COALESCE(sum(posted_nanos), 0)::bigint FROM billing.accounts")
    return nanos
