"""Lending: how much of an account's credit a worker is granted, and why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from uuid import UUID

from kit.database import Connection
from kit.money import MAX_NANOS
from services.billing import store
from services.billing.books import Account, Books, KeyMonth, Lease, LeaseState
from services.billing.terms import Terms, month_of


class Outcome(Enum):
    """What became of a wish."""

    GRANTED = auto()
    INSUFFICIENT_CREDITS = auto()
    KEY_LIMIT_REACHED = auto()
    CREDITS_IN_USE = auto()
    ACCOUNT_NOT_FOUND = auto()
    LEASE_GONE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A worker's wish for credit: 0 <= least <= needed <= wanted, all above what it knows to be granted."""

    lease_id: UUID
    account_id: UUID
    api_key_id: UUID
    known_granted_nanos: int
    wanted_nanos: int
    needed_nanos: int
    least_nanos: int
    monthly_limit_nanos: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The answer to a wish; `recalls` says that other leases hold what this one needs."""

    outcome: Outcome
    granted_nanos: int = 0
    returned_nanos: int = 0
    posted_nanos: int = 0
    recall: bool = False
    recalls: bool = False


async def acquire(
    connection: Connection, worker_id: UUID, *, wishes: Sequence[Wish], now: datetime, terms: Terms
) -> list[Grant]:
    """Answers a worker's wishes one after the other, in their order."""
    month = month_of(now)
    books = await store.lock(
        connection,
        accounts={wish.account_id for wish in wishes},
        key_months={(wish.api_key_id, month) for wish in wishes},
        leases={wish.lease_id for wish in wishes},
    )
    expire_uptime_ms = await store.uptime_ms(connection) + terms.lease_ms
    grants = []
    for wish in wishes:
        lease = books.leases.get(wish.lease_id) or Lease(
            lease_id=wish.lease_id,
            worker_id=worker_id,
            account_id=wish.account_id,
            api_key_id=wish.api_key_id,
            month=month,
            expire_uptime_ms=expire_uptime_ms,
        )
        grant = answer(books, lease, wish=wish, worker_id=worker_id, now=now, terms=terms)
        if grant.outcome is Outcome.GRANTED:
            lease.expire_uptime_ms = expire_uptime_ms
            books.leases[lease.lease_id] = lease
        grants.append(grant)
    await store.save(connection, books)
    return grants


def answer(books: Books, lease: Lease, *, wish: Wish, worker_id: UUID, now: datetime, terms: Terms) -> Grant:
    """Grants a wish on locked books, or says why not; a lease of the database or a new one."""
    account = books.accounts.get(wish.account_id)
    if account is None:
        return Grant(outcome=Outcome.ACCOUNT_NOT_FOUND)
    if not _may_grow(lease, wish, worker_id=worker_id, month=month_of(now)):
        mine = lease.worker_id == worker_id
        return Grant(
            outcome=Outcome.LEASE_GONE,
            granted_nanos=lease.granted_nanos if mine else 0,
            returned_nanos=lease.returned_nanos if mine else 0,
            posted_nanos=account.posted_nanos,
        )
    key_month = books.key_months[wish.api_key_id, month_of(now)]
    # A grant whose answer was lost is handed over first.
    handed = max(0, lease.granted_nanos - wish.known_granted_nanos)
    wanted, needed, least = (
        max(0, nanos - handed) for nanos in (wish.wanted_nanos, wish.needed_nanos, wish.least_nanos)
    )
    too_poor = account.posted_nanos < terms.floor_nanos
    unspent = _unspent(key_month, wish)
    room = 0 if too_poor else max(0, min(account.available_nanos, unspent - key_month.leased_nanos))
    cushion = (
        0 if account.is_recalled(now) else min(account.available_nanos // terms.cushion_share, terms.cushion_nanos)
    )
    amount = min(room, wanted, needed + cushion)
    outcome = Outcome.GRANTED
    if amount < least or (too_poor and not handed):
        outcome = _refusal(account, wish, unspent=unspent, terms=terms)
    # Were there no other leases, there would be this much.
    could = min(account.posted_nanos, unspent) - lease.remainder_nanos
    recalls = outcome in (Outcome.GRANTED, Outcome.CREDITS_IN_USE) and room < min(needed, could)
    if recalls:
        account.recall_until = now + terms.recall
    if outcome is Outcome.GRANTED:
        books.lend(lease, amount)
    return Grant(
        outcome=outcome,
        granted_nanos=lease.granted_nanos,
        returned_nanos=lease.returned_nanos,
        posted_nanos=account.posted_nanos,
        recall=account.is_recalled(now),
        recalls=recalls,
    )


def _may_grow(lease: Lease, wish: Wish, *, worker_id: UUID, month: date) -> bool:
    owner = (lease.worker_id, lease.account_id, lease.api_key_id, lease.month)
    return lease.state is LeaseState.OPEN and owner == (worker_id, wish.account_id, wish.api_key_id, month)


def _unspent(key_month: KeyMonth, wish: Wish) -> int:
    """What the key may still spend in its month, what it has been lent included."""
    if wish.monthly_limit_nanos is None:
        return MAX_NANOS
    return max(0, wish.monthly_limit_nanos - key_month.charged_nanos)


def _refusal(account: Account, wish: Wish, *, unspent: int, terms: Terms) -> Outcome:
    """Why a wish is refused: no money, no money of the key's, or money that is in use."""
    if account.posted_nanos < max(terms.floor_nanos, wish.least_nanos):
        return Outcome.INSUFFICIENT_CREDITS
    if unspent < wish.least_nanos:
        return Outcome.KEY_LIMIT_REACHED
    return Outcome.CREDITS_IN_USE
