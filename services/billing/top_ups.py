"""Credit that was paid for; the payment itself is a mock."""

from datetime import datetime
from uuid import UUID

from kit.database import Connection
from services.billing import store, store_accounts
from services.billing.books import Account
from services.billing.errors import InvalidAmount
from services.billing.ledger import Transaction, TransactionKind
from services.billing.posting import booked, lock_account, post
from services.billing.terms import TOP_UP_NANOS


async def top_up(
    connection: Connection,
    account_id: UUID,
    *,
    amount_nanos: int,
    idempotency_key: str,
    transaction_id: UUID,
    now: datetime,
) -> tuple[Account, Transaction]:
    """Adds credit once for each idempotency key; the account as it is now, and the key's transaction.

    Raises AccountNotFound, InvalidAmount and IdempotencyKeyReused.
    """
    if amount_nanos not in TOP_UP_NANOS:
        raise InvalidAmount("a top-up is 10, 25, 50, 100 or 500 dollars", field="amount_nanos")
    books, account = await lock_account(connection, account_id)
    kind = TransactionKind.TOP_UP
    if found := await booked(
        connection, account_id, kind=kind, amount_nanos=amount_nanos, idempotency_key=idempotency_key
    ):
        return account, found
    transaction = Transaction(
        id=transaction_id,
        kind=kind,
        account_id=account_id,
        amount_nanos=amount_nanos,
        description="Top-up",
        external_ref=idempotency_key,
        create_time=now,
    )
    await post(connection, account, transaction)
    await store.save(connection, books)
    await store_accounts.note_change(connection, account_id, now)
    return account, transaction
