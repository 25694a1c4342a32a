"""Opening an account, and moving it to another plan; both grant the plan's included credits."""

from datetime import datetime
from uuid import UUID

from kit import audit_log
from kit.audit_log import Act, changes
from kit.database import Connection
from services.billing import store, store_accounts
from services.billing.books import Account
from services.billing.ledger import Transaction, TransactionKind
from services.billing.plans import Plan
from services.billing.posting import lock_account, post
from services.billing.terms import FREE_PLAN


async def open_account(
    connection: Connection, account_id: UUID, *, free: Plan, transaction_id: UUID, now: datetime
) -> tuple[Account, bool]:
    """The account, opened on the plan `free` with its credits where it was not open; and whether it was opened now."""
    new = Account(
        account_id=account_id,
        plan_id=free.id,
        posted_nanos=0,
        leased_nanos=0,
        recall_until=None,
        create_time=now,
    )
    added = await store_accounts.add_account(connection, new)
    books, account = await lock_account(connection, account_id)
    if added:
        await _grant(
            connection, account, free, once=free.id, note="", actor_id=None, transaction_id=transaction_id, now=now
        )
        await store.save(connection, books)
        await store_accounts.note_change(connection, account_id, now)
    return account, added


async def change_plan(
    connection: Connection,
    account_id: UUID,
    *,
    plan: Plan,
    act: Act,
    transaction_id: UUID,
) -> tuple[Account, int, bool]:
    """The account on its new plan, the nano-dollars granted by this call, and whether anything changed.

    The credits come once for each account, plan and UTC month; those of `free` came when the account was opened.
    Raises AccountNotFound.
    """
    books, account = await lock_account(connection, account_id)
    granted = 0
    if plan.id != FREE_PLAN:
        granted = await _grant(
            connection,
            account,
            plan,
            once=f"{plan.id}:{act.time:%Y-%m}",
            note=act.reason,
            actor_id=act.actor_id,
            transaction_id=transaction_id,
            now=act.time,
        )
    details = changes({"plan_id": account.plan_id}, {"plan_id": plan.id, "granted_nanos": granted or None})
    account.plan_id = plan.id
    await store.save(connection, books)
    if details:
        await audit_log.write(
            connection,
            "billing",
            act,
            action="plan.changed",
            subject_kind="account",
            subject_id=account_id,
            details=details,
        )
        await store_accounts.note_change(connection, account_id, act.time)
    return account, granted, bool(details)


async def _grant(
    connection: Connection,
    account: Account,
    plan: Plan,
    *,
    once: str,
    note: str,
    actor_id: UUID | None,
    transaction_id: UUID,
    now: datetime,
) -> int:
    """Books a plan's included credits unless `once` names a grant of before; what was granted."""
    transaction = Transaction(
        id=transaction_id,
        kind=TransactionKind.PLAN_CREDIT,
        account_id=account.account_id,
        amount_nanos=plan.included_nanos,
        description=f"Included credits of {plan.name}" + (f" ({note})" if note else ""),
        external_ref=once,
        actor_id=actor_id,
        create_time=now,
    )
    if plan.included_nanos > 0 and await post(connection, account, transaction):
        return plan.included_nanos
    return 0
