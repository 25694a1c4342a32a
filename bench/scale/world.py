"""The simulated system: billing with its real rules of lending and charging, usage with its outbox, the relay."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from uuid import UUID

import grpc

from bench.scale.costs import Part
from bench.scale.servers import RPC_S, Service
from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2
from services.billing import leases, packing
from services.billing.books import Account, Books, KeyMonth, Lease, LeaseState
from services.billing.terms import Terms, month_of
from services.usage.relay import MOST_CHARGES

START = datetime(2026, 5, 15, 6, 0, tzinfo=UTC)
MONTH: date = month_of(START)
DAILY_SHARE = 0.3
"""Share of the work of RecordUsage that is done when the sums by day are locked, which come last: an estimate."""
_TAKEN = usage_pb2.RecordResult(outcome=usage_pb2.RECORD_OUTCOME_TAKEN)


@dataclass(slots=True)
class Request:
    """One request on its way; amounts in nano-dollars."""

    account_id: UUID
    api_key_id: UUID
    begin_s: float
    cost_nanos: int
    lease_id: str = ""
    end_s: float = 0.0
    reported: bool = False
    """Whether usage knows of it while it runs."""


@dataclass(slots=True)
class Tally:
    """What has happened since it was last cleared."""

    counts: dict[str, int] = field(default_factory=dict)
    lags_s: list[float] = field(default_factory=list)
    """From the end of each request to its debit."""
    waits_s: list[float] = field(default_factory=list)
    """Of requests for which billing had to be asked."""

    def add(self, name: str, number: int = 1) -> None:
        """Counts so many."""
        self.counts[name] = self.counts.get(name, 0) + number

    def clear(self) -> None:
        """Begins anew."""
        self.counts.clear()
        self.lags_s.clear()
        self.waits_s.clear()


class Billing:
    """Billing as edges and the relay see it; the rules are those of services/billing, the database is simulated."""

    def __init__(self, service: Service, tally: Tally, *, terms: Terms) -> None:
        self.service = service
        self.books = Books()
        self.away = False
        """Nothing is answered."""
        self._tally = tally
        self._terms = terms

    def open_account(self, account_id: UUID, api_key_id: UUID, *, posted_nanos: int) -> None:
        """An account with a key."""
        self.books.accounts[account_id] = Account(
            account_id=account_id, plan_id="team", posted_nanos=posted_nanos, leased_nanos=0, recall_until=None,
            create_time=START,
        )  # fmt: skip
        self.books.key_months[api_key_id, MONTH] = KeyMonth(
            api_key_id=api_key_id, month=MONTH, charged_nanos=0, leased_nanos=0
        )

    async def AcquireLeases(
        self, request: billing_pb2.AcquireLeasesRequest, *, timeout: float
    ) -> billing_pb2.AcquireLeasesResponse:
        """Answers the wishes; RemoteError after `timeout`."""
        worker_id, wishes = UUID(request.worker_id), packing.wishes(request.wishes)
        self._tally.add("acquire_calls")
        self._tally.add("wishes", len(wishes))
        async with (
            self._within(timeout),
            self.service.transaction(Part("acquire", len(wishes)), locks=sorted({wish.account_id for wish in wishes})),
        ):
            grants = [self._grant(worker_id, wish) for wish in wishes]
        return billing_pb2.AcquireLeasesResponse(
            grants=[packing.grant(wish.lease_id, grant) for wish, grant in zip(wishes, grants, strict=True)]
        )

    async def RenewLeases(
        self, request: billing_pb2.RenewLeasesRequest, *, timeout: float
    ) -> billing_pb2.RenewLeasesResponse:
        """Takes back what is returned, as services/billing/lease_lifecycle.py does."""
        returned = {UUID(each.lease_id): each.returned_nanos for each in request.renewals}
        known = [self.books.leases[lease_id] for lease_id in returned]
        moving = [lease for lease in known if returned[lease.lease_id] > lease.returned_nanos]
        self._tally.add("renew_calls")
        self._tally.add("renewed", len(known))
        self._tally.add("taken_back", len(moving))
        parts = (Part("renew", len(known) - len(moving)), Part("take_back", len(moving)))
        async with (
            self._within(timeout),
            self.service.transaction(*parts, locks=_accounts(moving)),
        ):
            for lease in moving:
                free = lease.remainder_nanos - lease.kept_nanos
                more = returned[lease.lease_id] - lease.returned_nanos
                self.books.take_back(lease, max(0, min(free, more)))
        return billing_pb2.RenewLeasesResponse(
            leases=[
                billing_pb2.LeaseState(
                    lease_id=str(lease.lease_id),
                    gone=lease.state is LeaseState.RELEASED,
                    granted_nanos=lease.granted_nanos,
                    returned_nanos=lease.returned_nanos,
                )
                for lease in known
            ]
        )

    async def CloseLeases(
        self, request: billing_pb2.CloseLeasesRequest, *, timeout: float
    ) -> billing_pb2.CloseLeasesResponse:
        """Closes them."""
        spent = {UUID(each.lease_id): each.spent_nanos for each in request.closings}
        known = [self.books.leases[lease_id] for lease_id in spent]
        self._tally.add("close_calls")
        self._tally.add("closed", len(known))
        async with (
            self._within(timeout),
            self.service.transaction(Part("close", len(known)), locks=_accounts(known)),
        ):
            for lease in known:
                if lease.state is not LeaseState.RELEASED:
                    self.books.close(lease, spent_nanos=spent[lease.lease_id])
        return billing_pb2.CloseLeasesResponse()

    async def settle(self, charges: list[Request], *, timeout: float = 10.0) -> None:
        """Books the charges on their leases. RemoteError after `timeout`."""
        owners = sorted({charge.account_id for charge in charges})
        async with (
            self._within(timeout),
            self.service.transaction(Part("settle", len(charges), len(owners)), locks=owners),
        ):
            for charge in charges:
                lease = self.books.leases.get(UUID(charge.lease_id)) if charge.lease_id else None
                self.books.charge(
                    self.books.accounts[charge.account_id],
                    self.books.key_months[charge.api_key_id, MONTH],
                    charge.cost_nanos,
                    lease=lease,
                )

    def _grant(self, worker_id: UUID, wish: leases.Wish) -> leases.Grant:
        now = START + timedelta(seconds=asyncio.get_running_loop().time())
        known = self.books.leases.get(wish.lease_id)
        lease = known or Lease(
            lease_id=wish.lease_id, worker_id=worker_id, account_id=wish.account_id, api_key_id=wish.api_key_id,
            month=MONTH, expire_uptime_ms=0,
        )  # fmt: skip
        grant = leases.answer(self.books, lease, wish=wish, worker_id=worker_id, now=now, terms=self._terms)
        if grant.outcome is leases.Outcome.GRANTED:
            self.books.leases[lease.lease_id] = lease
            self._tally.add("begun", known is None)
        return grant

    @asynccontextmanager
    async def _within(self, timeout_s: float) -> AsyncIterator[None]:
        if self.away:
            await asyncio.sleep(RPC_S)
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "away")
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError as error:
            self._tally.add("too_late")
            raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "too late") from error


def _accounts(some: Iterable[Lease]) -> list[UUID]:
    return sorted({lease.account_id for lease in some if lease.account_id is not None})


class Usage:
    """Usage as edges see it: records go into the outbox, and sums by day are locked."""

    def __init__(self, service: Service, tally: Tally, requests: dict[str, Request]) -> None:
        self.service = service
        self.outbox: deque[Request] = deque()
        self.wake = asyncio.Event()
        self._tally = tally
        self._requests = requests

    async def RecordUsage(
        self, request: usage_pb2.RecordUsageRequest, *, timeout: float
    ) -> usage_pb2.RecordUsageResponse:
        """Takes the records; nothing comes twice here."""
        finals: list[Request] = []
        again = known = 0
        for record in request.records:
            one = self._requests[record.request_id]
            if record.status == usage_pb2.USAGE_STATUS_OPEN:
                again += one.reported
                one.reported = True
            else:
                known += one.reported
                finals.append(self._requests.pop(record.request_id))
        fresh = len(request.records) - len(finals) - again
        for name, number in (("record_calls", 1), ("finals", len(finals)), ("reports", fresh + again)):
            self._tally.add(name, number)
        await self._store(finals, fresh=fresh, again=again, known=known)
        return usage_pb2.RecordUsageResponse(results=[_TAKEN] * len(request.records))

    async def _store(self, finals: list[Request], *, fresh: int, again: int, known: int) -> None:
        owners = sorted({final.account_id for final in finals})
        parts = [
            Part("record", len(finals) - known, len(owners)),
            Part("finish", known),
            Part("report", fresh),
            Part("report_again", again),
        ]
        async with self.service.transaction(
            *parts, locks=[("sums by day", owner) for owner in owners], late=DAILY_SHARE
        ):
            pass
        if finals:
            self.outbox.extend(finals)
            self.wake.set()


class Relay:
    """The way of charges to billing, as services/usage/relay.py has it."""

    def __init__(self, usage: Usage, billing: Billing, tally: Tally) -> None:
        self._usage = usage
        self._billing = billing
        self._tally = tally

    async def run(self, *, poll_s: float = 0.1, backoff_s: float = 1.0) -> None:
        """Sends what there is, one round after the other."""
        usage = self._usage
        while True:
            usage.wake.clear()
            charges = list(islice(usage.outbox, MOST_CHARGES))
            if charges:
                try:
                    await self._billing.settle(charges)
                except RemoteError:
                    await asyncio.sleep(backoff_s)
                    continue
                async with usage.service.transaction(Part("relay", len(charges))):
                    pass
                now_s = asyncio.get_running_loop().time()
                self._tally.add("rounds")
                self._tally.add("settled", len(charges))
                for _ in charges:
                    self._tally.lags_s.append(now_s - usage.outbox.popleft().end_s)
            if len(charges) < MOST_CHARGES:
                try:
                    async with asyncio.timeout(poll_s):
                        await usage.wake.wait()
                except TimeoutError:
                    pass
