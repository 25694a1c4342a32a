"""What the ledger consists of, as plain values: transactions and their entries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class TransactionKind(StrEnum):
    """What a transaction is."""

    CHARGE = "charge"
    TOP_UP = "top_up"
    PLAN_CREDIT = "plan_credit"
    ADJUSTMENT = "adjustment"


class AccountKind(StrEnum):
    """Whose money an entry moves: the customer's of the transaction, or one of the house accounts."""

    CUSTOMER = "customer"
    REVENUE = "revenue"
    PROMO = "promo"
    CASH = "cash"
    ADJUSTMENTS = "adjustments"
    ABSORBED = "absorbed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction; `amount_nanos` is what it was to add to the account, negative where it takes.

    A charge has the fields from `request_id` on, any other kind an `external_ref` that names it within its account. An
    adjustment that corrects a charge has both, but no revision.
    """

    id: UUID
    kind: TransactionKind
    account_id: UUID
    amount_nanos: int
    description: str
    create_time: datetime
    external_ref: str | None = None
    actor_id: UUID | None = None
    request_id: UUID | None = None
    revision: int | None = None
    api_key_id: UUID | None = None
    lease_id: UUID | None = None
    price_version_id: str | None = None
    record_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which transactions to list: of these kinds, booked in a time span, before an id; None for all."""

    account_id: UUID | None
    kinds: frozenset[TransactionKind] = frozenset(TransactionKind)
    from_time: datetime | None = None
    to_time: datetime | None = None
    before_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTransaction:
    """A charge or a correction of one, as its account sees it, and what of it the house bore instead."""

    transaction: Transaction
    absorbed_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCost:
    """What the ledger has of one request: its charges alone, and all of it with `corrections` adjustments."""

    account_id: UUID
    api_key_id: UUID
    charged_nanos: int
    cost_nanos: int
    absorbed_nanos: int
    corrections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a transaction adds to one account, negative where it takes; a customer's entry has their id."""

    transaction_id: UUID
    account_kind: AccountKind
    account_id: UUID | None
    amount_nanos: int


_COUNTERPARTS = {
    TransactionKind.CHARGE: AccountKind.REVENUE,
    TransactionKind.TOP_UP: AccountKind.CASH,
    TransactionKind.PLAN_CREDIT: AccountKind.PROMO,
    TransactionKind.ADJUSTMENT: AccountKind.ADJUSTMENTS,
}


def entries_of(transaction: Transaction, *, absorbed_nanos: int = 0) -> list[Entry]:
    """The entries of a transaction, which sum to zero; `absorbed_nanos` is what the customer could not pay of it."""
    amounts = (
        (AccountKind.CUSTOMER, transaction.account_id, transaction.amount_nanos + absorbed_nanos),
        (AccountKind.ABSORBED, None, -absorbed_nanos),
        (_COUNTERPARTS[transaction.kind], None, -transaction.amount_nanos),
    )
    return [
        Entry(transaction_id=transaction.id, account_kind=kind, account_id=account_id, amount_nanos=nanos)
        for kind, account_id, nanos in amounts
        if nanos
    ]
