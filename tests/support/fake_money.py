"""Typed fakes of billing and usage, in a real gRPC server, with faults on demand.

They keep the contract's promises (totals only, each record once), so that what a test reads from them is what the
services would hold.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from kit.errors import AppError
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceServicer
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceServicer

FLOOR_NANOS = 1_000_000


class Away(AppError):
    """What a service answers while a test keeps it from working; not retried by the client."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "AWAY"
    domain = "test"


class Malformed(AppError):
    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"
    domain = "test"


@dataclass
class Faults:
    """`away`: every call fails before anything is done. `lose_answers`: so many calls work, and then fail."""

    away: bool = False
    lose_answers: int = 0
    gate: Callable[[], Awaitable[None]] | None = None
    """Awaited by each call before it works."""

    async def before(self) -> None:
        if self.gate:
            await self.gate()
        if self.away:
            raise Away("away")

    def after(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise Away("the answer was lost")


@dataclass
class FakeLease:
    worker_id: str
    account_id: str
    api_key_id: str
    granted: int = 0
    returned: int = 0
    spent: int | None = None
    """What the worker said at the closing."""
    gone: bool = False

    @property
    def remainder(self) -> int:
        if self.gone:
            return 0
        kept = self.granted - self.returned
        return kept if self.spent is None else min(self.spent, kept)


@dataclass
class FakeBilling(BillingServiceServicer):
    """Accounts with a posted balance, and their leases; nothing is settled unless a test does it."""

    posted: dict[str, int] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    leases: dict[str, FakeLease] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    """Of keys, in this month."""
    changes: list[str] = field(default_factory=list)
    """Accounts that were changed, in order."""
    faults: Faults = field(default_factory=Faults)
    calls: list[Any] = field(default_factory=list)
    recalled: set[str] = field(default_factory=set)
    month_over: bool = False
    cap_cushion: bool = True

    def available(self, account_id: str) -> int:
        mine = (lease.remainder for lease in self.leases.values() if lease.account_id == account_id)
        return self.posted[account_id] - sum(mine)

    def asked(self) -> list[billing_pb2.LeaseWish]:
        """All wishes so far."""
        calls = (call for call in self.calls if isinstance(call, billing_pb2.AcquireLeasesRequest))
        return [wish for call in calls for wish in call.wishes]

    def of(self, kind: type) -> list[Any]:
        """The requests of this type so far."""
        return [call for call in self.calls if isinstance(call, kind)]

    async def AcquireLeases(
        self, request: billing_pb2.AcquireLeasesRequest, context: object
    ) -> billing_pb2.AcquireLeasesResponse:
        self.calls.append(request)
        await self.faults.before()
        assert len({wish.lease_id for wish in request.wishes}) == len(request.wishes)
        grants = [self._grant(request.worker_id, wish) for wish in request.wishes]
        self.faults.after()
        return billing_pb2.AcquireLeasesResponse(grants=grants)

    def _grant(self, worker_id: str, wish: billing_pb2.LeaseWish) -> billing_pb2.LeaseGrant:
        assert 0 <= wish.least_nanos <= wish.needed_nanos <= wish.wanted_nanos, wish
        if wish.account_id not in self.posted:
            return billing_pb2.LeaseGrant(lease_id=wish.lease_id, outcome=billing_pb2.LEASE_OUTCOME_ACCOUNT_NOT_FOUND)
        posted = self.posted[wish.account_id]
        known = self.leases.get(wish.lease_id)
        lease = known or FakeLease(worker_id, wish.account_id, wish.api_key_id)
        grant = billing_pb2.LeaseGrant(lease_id=wish.lease_id, posted_nanos=posted, granted_nanos=lease.granted)
        if lease.gone or lease.spent is not None:
            grant.outcome = billing_pb2.LEASE_OUTCOME_LEASE_GONE
            return grant
        handed = max(lease.granted - wish.known_granted_nanos, 0)
        wanted, needed, least = (
            max(nanos - handed, 0) for nanos in (wish.wanted_nanos, wish.needed_nanos, wish.least_nanos)
        )
        available = self.available(wish.account_id)
        unspent = 1 << 60
        if wish.HasField("key_monthly_limit_nanos"):
            unspent = wish.key_monthly_limit_nanos - self.charged.get(wish.api_key_id, 0)
        of_key = sum(each.remainder for each in self.leases.values() if each.api_key_id == wish.api_key_id)
        room = max(min(available, unspent - of_key), 0) if posted >= FLOOR_NANOS else 0
        cushion = min(available // 8, 1_000_000_000) if self.cap_cushion else 1 << 60
        amount = min(room, wanted, needed + cushion)
        if room < min(needed, posted - lease.remainder, unspent - lease.remainder):
            self.recalled.add(wish.account_id)
        grant.recall = wish.account_id in self.recalled
        if amount < least or (posted < FLOOR_NANOS and not handed):
            grant.outcome = billing_pb2.LEASE_OUTCOME_CREDITS_IN_USE
            if posted < max(FLOOR_NANOS, wish.least_nanos):
                grant.outcome = billing_pb2.LEASE_OUTCOME_INSUFFICIENT_CREDITS
            elif unspent < wish.least_nanos:
                grant.outcome = billing_pb2.LEASE_OUTCOME_KEY_LIMIT_REACHED
            return grant
        self.leases[wish.lease_id] = lease
        lease.granted += amount
        grant.granted_nanos = lease.granted
        grant.outcome = billing_pb2.LEASE_OUTCOME_GRANTED
        return grant

    async def RenewLeases(
        self, request: billing_pb2.RenewLeasesRequest, context: object
    ) -> billing_pb2.RenewLeasesResponse:
        self.calls.append(request)
        await self.faults.before()
        states = []
        for renewal in request.renewals:
            lease = self.leases.get(renewal.lease_id)
            if lease is None or lease.gone or lease.worker_id != request.worker_id:
                states.append(billing_pb2.LeaseState(lease_id=renewal.lease_id, gone=True))
                continue
            lease.returned = max(lease.returned, renewal.returned_nanos)
            states.append(
                billing_pb2.LeaseState(
                    lease_id=renewal.lease_id,
                    granted_nanos=lease.granted,
                    returned_nanos=lease.returned,
                    recall=lease.account_id in self.recalled,
                    month_over=self.month_over,
                )
            )
        self.faults.after()
        return billing_pb2.RenewLeasesResponse(leases=states)

    async def CloseLeases(
        self, request: billing_pb2.CloseLeasesRequest, context: object
    ) -> billing_pb2.CloseLeasesResponse:
        self.calls.append(request)
        await self.faults.before()
        for closing in request.closings:
            lease = self.leases.setdefault(closing.lease_id, FakeLease(request.worker_id, "", ""))
            lease.spent = max(lease.spent or 0, closing.spent_nanos)
        self.faults.after()
        return billing_pb2.CloseLeasesResponse()

    async def BatchGetAccounts(
        self, request: billing_pb2.BatchGetAccountsRequest, context: object
    ) -> billing_pb2.BatchGetAccountsResponse:
        self.calls.append(request)
        accounts = [
            billing_pb2.Account(account_id=each, plan_id=self.plans[each])
            for each in request.account_ids
            if each in self.plans
        ]
        answer = billing_pb2.BatchGetAccountsResponse(accounts=accounts, change_sequence=len(self.changes))
        await self.faults.before()
        return answer

    async def ListAccountChanges(
        self, request: billing_pb2.ListAccountChangesRequest, context: object
    ) -> billing_pb2.ListAccountChangesResponse:
        await self.faults.before()
        last = len(self.changes)
        if request.after_sequence < 0:
            return billing_pb2.ListAccountChangesResponse(last_sequence=last)
        return billing_pb2.ListAccountChangesResponse(
            changes=[
                billing_pb2.AccountChange(sequence=number, account_id=account_id)
                for number, account_id in enumerate(self.changes, 1)
                if number > request.after_sequence
            ][:1_000],
            last_sequence=last,
        )


@dataclass
class FakeUsage(UsageServiceServicer):
    """Keeps one final for each request, and the last open report."""

    finals: dict[str, usage_pb2.UsageRecord] = field(default_factory=dict)
    opens: dict[str, usage_pb2.UsageRecord] = field(default_factory=dict)
    doubled: int = 0
    """Finals that came again."""
    refuse: set[str] = field(default_factory=set)
    """Requests whose finals are refused."""
    choke_on: set[str] = field(default_factory=set)
    """Requests with which a whole call fails as malformed."""
    faults: Faults = field(default_factory=Faults)
    batches: deque[usage_pb2.RecordUsageRequest] = field(default_factory=deque)

    async def RecordUsage(
        self, request: usage_pb2.RecordUsageRequest, context: object
    ) -> usage_pb2.RecordUsageResponse:
        self.batches.append(request)
        await self.faults.before()
        assert len(request.records) <= 5_000
        if any(record.request_id in self.choke_on for record in request.records):
            raise Malformed("a record cannot be read")
        results = [usage_pb2.RecordResult(outcome=self._take(record)) for record in request.records]
        self.faults.after()
        return usage_pb2.RecordUsageResponse(results=results)

    def times_sent(self, request_id: str) -> int:
        """How often a record of this request came, open or final."""
        return sum(record.request_id == request_id for batch in self.batches for record in batch.records)

    def _take(self, record: usage_pb2.UsageRecord) -> usage_pb2.RecordOutcome.ValueType:
        if record.request_id in self.refuse:
            return usage_pb2.RECORD_OUTCOME_REFUSED
        if record.status == usage_pb2.USAGE_STATUS_OPEN:
            self.opens[record.request_id] = record
            return usage_pb2.RECORD_OUTCOME_TAKEN
        if (known := self.finals.get(record.request_id)) is not None:
            self.doubled += 1
            same = known == record
            return usage_pb2.RECORD_OUTCOME_KNOWN if same else usage_pb2.RECORD_OUTCOME_REFUSED
        self.finals[record.request_id] = record
        return usage_pb2.RECORD_OUTCOME_TAKEN
