"""Settling: each charge is booked once, and paid from its lease, then from what is available, then by the house."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, auto
from uuid import UUID

from kit.database import Connection
from kit.errors import Unavailable
from kit.ids import IdFactory
from services.billing import store, store_ledger
from services.billing.books import Books, LeaseState
from services.billing.ledger import Entry, Transaction, TransactionKind, entries_of
from services.billing.store import LeaseFacts
from services.billing.terms import Terms, month_of


class Outcome(Enum):
    """What became of a charge."""

    BOOKED = auto()
    KNOWN = auto()
    UNKNOWN_ACCOUNT = auto()
    CONFLICT = auto()
    INVALID = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A charge to book, of a sensible amount; revision 2 may be negative, which gives back."""

    request_id: UUID
    revision: int
    account_id: UUID
    api_key_id: UUID
    lease_id: UUID | None
    amount_nanos: int
    description: str
    price_version_id: str
    record_time: datetime


@dataclass(slots=True, kw_only=True)
class Settlement:
    """What became of a batch: an outcome for each charge, in their order, and what the house had to pay."""

    outcomes: list[Outcome] = field(default_factory=list)
    absorbed_nanos: int = 0


Key = tuple[UUID, int]
"""What a charge is known by: request and revision."""


async def settle(
    connection: Connection,
    charges: Sequence[Charge | None],
    *,
    drained_worker_ids: Collection[UUID],
    ids: IdFactory,
    now: datetime,
    terms: Terms,
) -> Settlement:
    """Books what is new of the charges (None: an invalid one), then releases expired leases of drained workers.

    A drained worker's leases go 90 s after their expiry: usage names it in every call until then. Unavailable where a
    lease is deleted meanwhile, for being old: its row says to which month a charge belongs.
    """
    valid = [charge for charge in charges if charge]
    expired_before_ms = await store.uptime_ms(connection) - terms.release_after_ms
    used = await store.lease_facts(connection, {charge.lease_id for charge in valid if charge.lease_id})
    lost = await store.releasable_leases(connection, drained_worker_ids, expired_before_ms=expired_before_ms)
    leases = used | lost
    books = await store.lock(
        connection,
        accounts={charge.account_id for charge in valid} | store.accounts_of(leases.values()),
        key_months={(charge.api_key_id, _month(charge, used, now)) for charge in valid}
        | store.key_months_of(leases.values()),
        leases=leases.keys(),
    )
    if used.keys() - books.leases.keys():
        raise Unavailable("a lease is being deleted at this very moment")
    settlement = await _book(connection, books, charges=charges, used=used, ids=ids, now=now)
    for lease_id in lost:
        lease = books.leases[lease_id]
        # It may have been renewed before it was locked.
        if lease.state is not LeaseState.RELEASED and lease.expire_uptime_ms <= expired_before_ms:
            books.release(lease)
    await store.save(connection, books)
    return settlement


async def _book(
    connection: Connection,
    books: Books,
    *,
    charges: Sequence[Charge | None],
    used: Mapping[UUID, LeaseFacts],
    ids: IdFactory,
    now: datetime,
) -> Settlement:
    """Books the charges on locked books; of two with the same request and revision, the first counts."""
    new: dict[Key, Transaction] = {}
    for charge in charges:
        if charge and charge.account_id in books.accounts and _key(charge) not in new:
            new[_key(charge)] = _transaction(charge, ids=ids, now=now)
    added = await store_ledger.add_transactions(connection, sorted(new.values(), key=_order))
    booked = await store_ledger.booked_charges(connection, [key for key, row in new.items() if row.id not in added])
    settlement = Settlement()
    entries: list[Entry] = []
    for charge in charges:
        outcome = _judge(charge, books, booked=booked)
        settlement.outcomes.append(outcome)
        if charge and outcome is Outcome.BOOKED:
            transaction = new[_key(charge)]
            booked[_key(charge)] = (transaction.account_id, transaction.amount_nanos)
            absorbed_nanos = _take(books, charge, month=_month(charge, used, now))
            entries += entries_of(transaction, absorbed_nanos=absorbed_nanos)
            settlement.absorbed_nanos += absorbed_nanos
    await store_ledger.add_entries(connection, entries)
    return settlement


def _judge(charge: Charge | None, books: Books, *, booked: Mapping[Key, tuple[UUID, int]]) -> Outcome:
    """What becomes of a charge, given what is booked before it; BOOKED where nothing is."""
    if charge is None:
        return Outcome.INVALID
    if charge.account_id not in books.accounts:
        return Outcome.UNKNOWN_ACCOUNT
    match booked.get(_key(charge)):
        case None:
            return Outcome.BOOKED
        case (charge.account_id, amount_nanos) if amount_nanos == -charge.amount_nanos:
            return Outcome.KNOWN
        case _:
            return Outcome.CONFLICT


def _take(books: Books, charge: Charge, *, month: date) -> int:
    """Takes the charge, or gives it back where it is negative; what the account could not pay."""
    account = books.accounts[charge.account_id]
    key_month = books.key_months[charge.api_key_id, month]
    lease = books.leases.get(charge.lease_id) if charge.lease_id else None
    if lease and (lease.account_id, lease.api_key_id) != (charge.account_id, charge.api_key_id):
        lease = None
    if charge.amount_nanos < 0:
        books.give(account, key_month, -charge.amount_nanos, lease=lease)
        return 0
    return books.charge(account, key_month, charge.amount_nanos, lease=lease)


def _month(charge: Charge, leases: Mapping[UUID, LeaseFacts], now: datetime) -> date:
    """The month that a charge belongs to: its lease's, else this one."""
    lease = leases.get(charge.lease_id) if charge.lease_id else None
    if lease and lease.month and (lease.account_id, lease.api_key_id) == (charge.account_id, charge.api_key_id):
        return lease.month
    return month_of(now)


def _key(charge: Charge) -> Key:
    return charge.request_id, charge.revision


def _order(transaction: Transaction) -> tuple[UUID | None, int | None]:
    return transaction.request_id, transaction.revision


def _transaction(charge: Charge, *, ids: IdFactory, now: datetime) -> Transaction:
    return Transaction(
        id=ids(),
        kind=TransactionKind.CHARGE,
        account_id=charge.account_id,
        amount_nanos=-charge.amount_nanos,
        description=charge.description,
        create_time=now,
        request_id=charge.request_id,
        revision=charge.revision,
        api_key_id=charge.api_key_id,
        lease_id=charge.lease_id,
        price_version_id=charge.price_version_id,
        record_time=charge.record_time,
    )
