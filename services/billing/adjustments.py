"""Credit added or taken by an operator, with a reason."""

from uuid import UUID

from kit import audit_log
from kit.audit_log import Act, changes
from kit.database import Connection
from services.billing import store, store_accounts
from services.billing.books import Account
from services.billing.errors import IdempotencyKeyReused, InsufficientFunds, InvalidAmount, ReasonRequired
from services.billing.ledger import Transaction, TransactionKind
from services.billing.posting import booked, lock_account, post
from services.billing.terms import MOST_ADJUSTED_NANOS


async def adjust(
    connection: Connection,
    account_id: UUID,
    *,
    amount_nanos: int,
    act: Act,
    idempotency_key: str,
    transaction_id: UUID,
) -> tuple[Account, Transaction]:
    """Adds or takes credit once for each idempotency key; the account as it is now, and the key's transaction.

    Raises AccountNotFound, InvalidAmount, ReasonRequired, InsufficientFunds and IdempotencyKeyReused.
    """
    if not 0 < abs(amount_nanos) <= MOST_ADJUSTED_NANOS:
        raise InvalidAmount("an adjustment is not 0, and a million dollars at most", field="amount_nanos")
    if not act.reason:
        raise ReasonRequired("an adjustment needs a reason", field="reason")
    books, account = await lock_account(connection, account_id)
    kind = TransactionKind.ADJUSTMENT
    if found := await booked(
        connection, account_id, kind=kind, amount_nanos=amount_nanos, idempotency_key=idempotency_key
    ):
        if found.description != act.reason:
            raise IdempotencyKeyReused("this idempotency key was used with another reason")
        return account, found
    if -amount_nanos > account.available_nanos:
        raise InsufficientFunds("more would be taken than is available", available_nanos=str(account.available_nanos))
    transaction = Transaction(
        id=transaction_id,
        kind=kind,
        account_id=account_id,
        amount_nanos=amount_nanos,
        description=act.reason,
        external_ref=idempotency_key,
        actor_id=act.actor_id,
        create_time=act.time,
    )
    await post(connection, account, transaction)
    await store.save(connection, books)
    await audit_log.write(
        connection,
        "billing",
        act,
        action="balance.adjusted",
        subject_kind="account",
        subject_id=account_id,
        details=changes({}, {"amount_nanos": amount_nanos, "transaction_id": transaction_id}),
    )
    await store_accounts.note_change(connection, account_id, act.time)
    return account, transaction
