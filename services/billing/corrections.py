"""Corrections of charges: each is an adjustment that brings what a request has cost to what it should cost.

It is the ledger that says what was charged and corrected before, so that correcting twice books once, overlapping
time spans don't correct twice, and going back to an earlier price is a correction like any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from kit import audit_log
from kit.audit_log import Act
from kit.audit_log import changes as changes_of
from kit.database import Connection
from kit.errors import Unavailable
from kit.ids import IdFactory
from services.billing import store, store_accounts, store_ledger
from services.billing.books import Account
from services.billing.ledger import RequestCost, Transaction, TransactionKind, entries_of


class Outcome(Enum):
    """What became of a correction."""

    BOOKED = auto()
    UNCHANGED = auto()
    PENDING = auto()
    INSUFFICIENT_FUNDS = auto()
    INVALID = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a request was charged by its usage record, and what it should cost."""

    request_id: UUID
    charged_nanos: int
    should_cost_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the corrections of one call have in common."""

    price_version_id: str
    description: str
    actor_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a correction, what its request had cost, and what it adds to the account (also if refused)."""

    outcome: Outcome
    account_id: UUID | None = None
    cost_nanos: int = 0
    amount_nanos: int = 0


async def preview(
    connection: Connection, corrections: Sequence[Correction | None], *, changes: Mapping[UUID, int]
) -> list[Result]:
    """What `correct` would do, if these changes of accounts had been made before. Reads only."""
    costs = await store_ledger.request_costs(connection, _request_ids(corrections))
    found = await store_accounts.accounts(connection, {cost.account_id for cost in costs.values()})
    accounts = {account.account_id: account for account in found}
    for account_id in changes.keys() & accounts.keys():
        accounts[account_id].posted_nanos += changes[account_id]
    return [_judge(correction, costs, accounts) for correction in corrections]


async def correct(
    connection: Connection,
    corrections: Sequence[Correction | None],
    *,
    purpose: Purpose,
    ids: IdFactory,
    now: datetime,
) -> list[Result]:
    """Books what is to be corrected (None: an invalid one); a result for each, in their order."""
    seen = await store_ledger.request_costs(connection, _request_ids(corrections))
    books = await store.lock(connection, accounts={cost.account_id for cost in seen.values()})
    # Only now, with the accounts locked, can nobody charge or correct these requests at the same time.
    costs = await store_ledger.request_costs(connection, seen.keys())
    results = [_judge(correction, costs, books.accounts) for correction in corrections]
    booked = [
        _transaction(correction, costs[correction.request_id], result.amount_nanos, purpose=purpose, ids=ids, now=now)
        for correction, result in zip(corrections, results, strict=True)
        if correction and result.outcome is Outcome.BOOKED
    ]
    if len(await store_ledger.add_transactions(connection, booked)) != len(booked):
        raise Unavailable("a correction of one of these requests came to exist meanwhile")
    await store_ledger.add_entries(connection, [entry for row in booked for entry in entries_of(row)])
    await store.save(connection, books)
    if booked:
        await _log(connection, booked, purpose, Act(event_id=ids(), actor_id=purpose.actor_id, time=now))
    for account_id in sorted({row.account_id for row in booked}):
        await store_accounts.note_change(connection, account_id, now)
    return results


def _judge(
    correction: Correction | None, costs: Mapping[UUID, RequestCost], accounts: Mapping[UUID, Account]
) -> Result:
    """What becomes of a correction; the account is changed by one that is booked."""
    if correction is None:
        return Result(outcome=Outcome.INVALID)
    cost = costs.get(correction.request_id)
    if cost is None:
        return Result(outcome=Outcome.PENDING)
    account = accounts[cost.account_id]
    outcome, amount_nanos = Outcome.BOOKED, cost.cost_nanos - correction.should_cost_nanos
    if amount_nanos > 0:
        # What the house bore was never the customer's, so it is not given back to them.
        amount_nanos = max(0, amount_nanos - cost.absorbed_nanos)
    if cost.charged_nanos != correction.charged_nanos:
        outcome, amount_nanos = Outcome.PENDING, 0
    elif amount_nanos == 0:
        outcome = Outcome.UNCHANGED
    elif -amount_nanos > account.available_nanos:
        outcome = Outcome.INSUFFICIENT_FUNDS
    else:
        account.posted_nanos += amount_nanos
        if amount_nanos > 0:
            account.recall_until = None
    return Result(outcome=outcome, account_id=account.account_id, cost_nanos=cost.cost_nanos, amount_nanos=amount_nanos)


def _transaction(
    correction: Correction, cost: RequestCost, amount_nanos: int, *, purpose: Purpose, ids: IdFactory, now: datetime
) -> Transaction:
    return Transaction(
        id=ids(),
        kind=TransactionKind.ADJUSTMENT,
        account_id=cost.account_id,
        amount_nanos=amount_nanos,
        description=purpose.description,
        create_time=now,
        external_ref=f"correction/{correction.request_id}/{cost.corrections + 1}",
        actor_id=purpose.actor_id,
        request_id=correction.request_id,
        api_key_id=cost.api_key_id,
        price_version_id=purpose.price_version_id,
    )


async def _log(connection: Connection, booked: Sequence[Transaction], purpose: Purpose, act: Act) -> None:
    """One event for a call: which requests were corrected, the ledger says."""
    told = {
        "description": purpose.description,
        "corrections": len(booked),
        "accounts": len({row.account_id for row in booked}),
        "amount_nanos": sum(row.amount_nanos for row in booked),
    }
    await audit_log.write(
        connection,
        "billing",
        act,
        action="charges.corrected",
        subject_kind="price_version",
        subject_id=purpose.price_version_id,
        details=changes_of({}, told),
    )


def _request_ids(corrections: Sequence[Correction | None]) -> list[UUID]:
    return [correction.request_id for correction in corrections if correction]
