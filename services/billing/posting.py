"""Booking of the transactions that are not charges: one at a time, each once by its external reference."""

from uuid import UUID

from kit.database import Connection
from services.billing import store, store_ledger
from services.billing.books import Account, Books
from services.billing.errors import AccountNotFound, IdempotencyKeyReused, InvalidAmount
from services.billing.ledger import Transaction, TransactionKind, entries_of
from services.billing.terms import MOST_POSTED_NANOS


async def lock_account(connection: Connection, account_id: UUID) -> tuple[Books, Account]:
    """One account, locked; AccountNotFound where it has not been opened."""
    books = await store.lock(connection, accounts=[account_id])
    if account_id not in books.accounts:
        raise AccountNotFound(f"the account {account_id} has not been opened")
    return books, books.accounts[account_id]


async def post(connection: Connection, account: Account, transaction: Transaction) -> bool:
    """Books the transaction on the locked account, once; False where its external reference was booked before.

    InvalidAmount where the balance would become absurd. The caller saves the books.
    """
    if not await store_ledger.add_transactions(connection, [transaction]):
        return False
    if account.posted_nanos + transaction.amount_nanos > MOST_POSTED_NANOS:
        raise InvalidAmount("no balance may be as high as that", field="amount_nanos")
    await store_ledger.add_entries(connection, entries_of(transaction))
    account.posted_nanos += transaction.amount_nanos
    if transaction.amount_nanos > 0:
        account.recall_until = None
    return True


async def booked(
    connection: Connection, account_id: UUID, *, kind: TransactionKind, amount_nanos: int, idempotency_key: str
) -> Transaction | None:
    """The transaction that an idempotency key names, if any; IdempotencyKeyReused where its amount is another one."""
    found = await store_ledger.transaction_by_ref(connection, account_id, kind=kind, external_ref=idempotency_key)
    if found is not None and found.amount_nanos != amount_nanos:
        raise IdempotencyKeyReused("this idempotency key was used with another amount")
    return found
