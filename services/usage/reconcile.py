"""Whether usage and billing agree on every request: R4, what final records cost is what was charged for them.

Both sides are read one after the other, never in one moment: what differs is looked at again before it counts, and
what is still on its way is no mismatch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from kit.database import Database
from kit.timestamps import from_proto, to_proto
from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.usage import store_reconcile
from services.usage.store_reconcile import Bill

SETTLED_AFTER = timedelta(minutes=1)
"""Younger records are not compared."""

MOST_REQUESTS = 1_000
"""That one ListCharges looks up by id, as billing's contract says."""

TIMEOUT_S = 30.0

Key = tuple[datetime, UUID]
"""What both sides are ordered by: record time and request id."""

BEGINNING: Key = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
_LAST_ID = str(UUID(int=2**128 - 1))


class Check(StrEnum):
    """The rules, by the names that operators know."""

    CHARGES = "R4"
    OVERDUE_LEASES = "R5"
    IDLE = "R6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Something that is not as it must be; `subject` is `request/<id>` and the like."""

    check: Check
    subject: str
    expected_nanos: int
    actual_nanos: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A page: how much was looked at on each side, what differs, and where to go on; None after the last."""

    records: int
    charges: int
    mismatches: list[Mismatch]
    next_key: Key | None


Charged = Mapping[UUID, Mapping[UUID, int]]
"""Nano-dollars by request and account."""


async def compare(
    database: Database, stub: BillingServiceStub, after: Key, *, to_time: datetime, limit: int
) -> Compared:
    """The next page of both sides, each at most `limit` long; `to_time` is over SETTLED_AFTER ago.

    Unavailable when the database is, RemoteError when billing does not answer.
    """
    async with database.reader() as connection:
        await store_reconcile.allow_time(connection)
        bills = await store_reconcile.bills(connection, after, to_time=to_time, limit=limit)
    request = billing.ListChargesRequest(
        after=billing.RequestCharge(record_time=to_proto(after[0]), request_id=str(after[1]), account_id=_LAST_ID),
        to_time=to_proto(to_time),
        limit=limit,
    )
    charges = (await stub.ListCharges(request, timeout=TIMEOUT_S)).charges
    ends = [(rows[-1].record_time, rows[-1].request_id) for rows in (bills,) if len(rows) == limit]
    ends += [_key(rows[-1]) for rows in (charges,) if len(rows) == limit]
    end = min(ends) if ends else None
    bills = [bill for bill in bills if end is None or (bill.record_time, bill.request_id) <= end]
    charged = _by_request(charge for charge in charges if end is None or _key(charge) <= end)
    costs = {bill.request_id: bill for bill in bills}
    doubtful = [
        request_id for request_id in costs.keys() | charged.keys()
        if not _agree(costs.get(request_id), charged.get(request_id, {}))
    ]  # fmt: skip
    mismatches: list[Mismatch] = []
    for start in range(0, len(doubtful), MOST_REQUESTS):
        mismatches += await _look_again(database, stub, sorted(doubtful)[start : start + MOST_REQUESTS])
    return Compared(records=len(costs), charges=len(charged), mismatches=mismatches, next_key=end)


async def _look_again(database: Database, stub: BillingServiceStub, request_ids: Sequence[UUID]) -> list[Mismatch]:
    """Which of these requests really differ.

    A charge leaves the outbox only after it was booked. So where a record is the same, with nothing of it in the
    outbox, before and after billing was read, billing must have had all of it.
    """
    before = await _bills_of(database, request_ids)
    request = billing.ListChargesRequest(request_ids=map(str, request_ids))
    charged = _by_request((await stub.ListCharges(request, timeout=TIMEOUT_S)).charges)
    after = await _bills_of(database, request_ids)
    return [
        _mismatch(request_id, after.get(request_id), charged.get(request_id, {}))
        for request_id in request_ids
        if before.get(request_id) == after.get(request_id)
        and not _agree(after.get(request_id), charged.get(request_id, {}))
    ]


async def _bills_of(database: Database, request_ids: Sequence[UUID]) -> dict[UUID, Bill]:
    async with database.reader() as connection:
        return await store_reconcile.bills_of(connection, request_ids)


def _agree(bill: Bill | None, charged: Mapping[UUID, int]) -> bool:
    """Whether a request was charged what its record says; of one that is on its way nothing is expected."""
    if bill and bill.waiting:
        return True
    expected = {bill.account_id: bill.cost_nanos} if bill and bill.cost_nanos else {}
    return {account_id: nanos for account_id, nanos in charged.items() if nanos} == expected


def _mismatch(request_id: UUID, bill: Bill | None, charged: Mapping[UUID, int]) -> Mismatch:
    cost_nanos = bill.cost_nanos if bill else 0
    total = sum(charged.values())
    if bill is None:
        detail = "charged, but usage has no final record of it"
    elif not charged:
        detail = "used, but not charged and not on its way"
    elif total != cost_nanos:
        detail = "what was charged is not what the record costs"
    else:
        detail = "charged to another account"
    return Mismatch(
        check=Check.CHARGES,
        subject=f"request/{request_id}",
        expected_nanos=cost_nanos,
        actual_nanos=total,
        detail=detail,
    )


def _by_request(charges: Iterable[billing.RequestCharge]) -> Charged:
    found: dict[UUID, dict[UUID, int]] = defaultdict(dict)
    for charge in charges:
        accounts = found[UUID(charge.request_id)]
        account_id = UUID(charge.account_id)
        accounts[account_id] = accounts.get(account_id, 0) + charge.amount_nanos
    return found


def _key(charge: billing.RequestCharge) -> Key:
    return from_proto(charge.record_time), UUID(charge.request_id)
