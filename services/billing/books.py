"""The rows of money that one transaction has locked, and the few ways in which amounts move between them.

Every rule of billing works on Books: `store.lock` reads and locks them, `store.save` writes what changed. The moves
below keep `leased` of accounts and keys equal to the remainders of their leases, and take nothing that is not there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from kit.money import MAX_NANOS

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True, kw_only=True)
class Account:
    """One customer's account; all amounts are nano-dollars."""

    account_id: UUID
    plan_id: str
    posted_nanos: int
    leased_nanos: int
    recall_until: datetime | None
    create_time: datetime

    @property
    def available_nanos(self) -> int:
        """What is not set aside; never below 0."""
        return self.posted_nanos - self.leased_nanos

    def is_recalled(self, now: datetime) -> bool:
        """Whether workers should give back free credit."""
        return self.recall_until is not None and self.recall_until > now


@dataclass(slots=True, kw_only=True)
class KeyMonth:
    """What an API key has spent and has been lent in one UTC month."""

    api_key_id: UUID
    month: date
    charged_nanos: int
    leased_nanos: int


class LeaseState(StrEnum):
    """Open: may grow. Closed: only what was spent is kept. Released: nothing is left, for good."""

    OPEN = "open"
    CLOSED = "closed"
    RELEASED = "released"


@dataclass(slots=True, kw_only=True)
class Lease:
    """Credit set aside for one account and key on one worker.

    `spent_nanos` is what its records cost in all, told at closing. `expire_uptime_ms` is a moment of billing's uptime.
    A lease that was closed before it began has no account, key and month.
    """

    lease_id: UUID
    worker_id: UUID
    account_id: UUID | None
    api_key_id: UUID | None
    month: date | None
    state: LeaseState = LeaseState.OPEN
    granted_nanos: int = 0
    returned_nanos: int = 0
    settled_nanos: int = 0
    spent_nanos: int = 0
    expire_uptime_ms: int

    @property
    def remainder_nanos(self) -> int:
        """What it still sets aside."""
        return self.granted_nanos - self.returned_nanos - self.settled_nanos

    @property
    def kept_nanos(self) -> int:
        """What it must go on setting aside: once closed, for charges that are still to come."""
        if self.state is LeaseState.CLOSED:
            return min(self.remainder_nanos, max(0, self.spent_nanos - self.settled_nanos))
        return 0


@dataclass(slots=True)
class Books:
    """Locked rows by their ids; change them by the moves below only."""

    accounts: dict[UUID, Account] = field(default_factory=dict)
    key_months: dict[tuple[UUID, date], KeyMonth] = field(default_factory=dict)
    leases: dict[UUID, Lease] = field(default_factory=dict)
    _accounts_before: dict[UUID, Account] = field(default_factory=dict, init=False)
    _key_months_before: dict[tuple[UUID, date], KeyMonth] = field(default_factory=dict, init=False)
    _leases_before: dict[UUID, Lease] = field(default_factory=dict, init=False)

    def enter(self, *, accounts: Iterable[Account], key_months: Iterable[KeyMonth], leases: Iterable[Lease]) -> None:
        """Takes in rows as they stand in the database."""
        self.accounts = {row.account_id: row for row in accounts}
        self.key_months = {(row.api_key_id, row.month): row for row in key_months}
        self.leases = {row.lease_id: row for row in leases}
        self._accounts_before = {key: replace(row) for key, row in self.accounts.items()}
        self._key_months_before = {key: replace(row) for key, row in self.key_months.items()}
        self._leases_before = {key: replace(row) for key, row in self.leases.items()}

    def lend(self, lease: Lease, nanos: int) -> None:
        """Available credit is set aside in the lease."""
        lease.granted_nanos += nanos
        self._change_leased(lease, nanos)

    def take_back(self, lease: Lease, nanos: int) -> None:
        """Credit of the lease becomes available again."""
        lease.returned_nanos += nanos
        self._change_leased(lease, -nanos)

    def close(self, lease: Lease, *, spent_nanos: int) -> None:
        """Keeps what was spent and is not settled; where that is nothing, the lease is released at once."""
        lease.state = LeaseState.CLOSED
        lease.spent_nanos = max(lease.spent_nanos, spent_nanos)
        self.take_back(lease, lease.remainder_nanos - lease.kept_nanos)
        if not lease.remainder_nanos:
            lease.state = LeaseState.RELEASED

    def release(self, lease: Lease) -> None:
        """All that is left of the lease becomes available; charges that still come are taken from there."""
        self.take_back(lease, lease.remainder_nanos)
        lease.state = LeaseState.RELEASED

    def charge(self, account: Account, key_month: KeyMonth, nanos: int, *, lease: Lease | None) -> int:
        """Takes a charge from the lease's remainder, then from what is available; returns what neither could pay."""
        from_lease = min(nanos, lease.remainder_nanos) if lease else 0
        if lease:
            lease.settled_nanos += from_lease
            self._change_leased(lease, -from_lease)
            if lease.state is LeaseState.CLOSED and not lease.remainder_nanos:
                lease.state = LeaseState.RELEASED
        account.posted_nanos -= from_lease
        from_available = min(nanos - from_lease, account.available_nanos)
        account.posted_nanos -= from_available
        key_month.charged_nanos = min(MAX_NANOS, key_month.charged_nanos + nanos)
        return nanos - from_lease - from_available

    def give(self, account: Account, key_month: KeyMonth, nanos: int, *, lease: Lease | None) -> None:
        """Gives back a part of what a key was charged: into the lease it was taken from, unless that is released.

        The lease's worker counts what it spent, not what it was charged, so it takes this for free credit.
        """
        if lease and lease.state is not LeaseState.RELEASED:
            to_lease = min(nanos, lease.settled_nanos)
            lease.settled_nanos -= to_lease
            self._change_leased(lease, to_lease)
        account.posted_nanos += nanos
        key_month.charged_nanos -= nanos

    def changed_accounts(self) -> list[tuple[Account, Account]]:
        """Accounts that are not as they were entered, each with what it was."""
        return _changed(self.accounts, self._accounts_before)

    def changed_key_months(self) -> list[tuple[KeyMonth, KeyMonth]]:
        """Keys' months that are not as they were entered, each with what it was."""
        return _changed(self.key_months, self._key_months_before)

    def changed_leases(self) -> list[Lease]:
        """Leases that are not as they were entered."""
        return [lease for lease, _ in _changed(self.leases, self._leases_before)]

    def new_leases(self) -> list[Lease]:
        """Leases that were begun here."""
        return [lease for key, lease in self.leases.items() if key not in self._leases_before]

    def _change_leased(self, lease: Lease, nanos: int) -> None:
        if not nanos:
            return
        if lease.account_id is None or lease.api_key_id is None or lease.month is None:
            raise ValueError("a lease that never began holds no credit")
        self.accounts[lease.account_id].leased_nanos += nanos
        self.key_months[lease.api_key_id, lease.month].leased_nanos += nanos


def _changed(now: dict[K, V], before: dict[K, V]) -> list[tuple[V, V]]:
    return [(row, before[key]) for key, row in now.items() if key in before and row != before[key]]
