"""Billing and usage on one real database, called as their servers would, for measurements of what their calls cost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import cast
from uuid import UUID

import grpc

from kit.clock import utc_now
from kit.database import Database
from kit.ids import IdFactory
from kit.interceptors import Context
from kit.secrets import Sealer, derive
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2 as usage
from services.billing.announcements import Announcer
from services.billing.plans import Plans
from services.billing.servicer import BillingServicer
from services.billing.terms import Terms
from services.billing.uptime import Uptime
from services.usage import store_outbox
from services.usage.idempotency import Answers
from services.usage.leftovers import LeftLeases
from services.usage.relay import Relay
from services.usage.servicer import UsageServicer
from services.usage.workers import LostWorkers
from tests.services.billing.world import RecordingBus
from tests.support.databases import APP_SECRET, Databases

ACCOUNTS = 500
COST_NANOS = 500_000
HOLD_NANOS = 5_000_000
Turn = Callable[[], Awaitable[object]]

new_id = IdFactory()
NOBODY = cast(Context, None)
"""These handlers do not look at who calls."""

OPEN_ACCOUNTS = """
INSERT INTO billing.accounts (account_id, plan_id, posted_nanos, leased_nanos, create_time)
SELECT id, 'team', 1000000000000, 0, now() FROM unnest($1::uuid[]) AS id
"""


class Booking:
    """Billing as the relay sees it, which has booked everything at once."""

    async def SettleCharges(
        self,
        request: billing.SettleChargesRequest,
        timeout: float,
    ) -> billing.SettleChargesResponse:
        """Answers without doing anything."""
        booked = billing.ChargeResult(outcome=billing.CHARGE_OUTCOME_BOOKED)
        return billing.SettleChargesResponse(results=[booked] * len(request.charges))


class Services:
    """Both, with ACCOUNTS accounts of one API key each; every method makes a call that can be made once."""

    def __init__(
        self, url: str, *, accounts: Sequence[UUID], usage_database: Database, billing_database: Database
    ) -> None:
        self.url = url
        self.accounts = len(accounts)
        self._owners = [(str(account_id), str(new_id())) for account_id in accounts]
        self._worker_id = str(new_id())
        self._price_id = str(new_id())
        self._usage_database = usage_database
        nowhere = grpc.aio.insecure_channel("unix:/nowhere")
        stub = cast(BillingServiceStub, Booking())
        self._relay = Relay(usage_database, stub, LostWorkers(usage_database))
        self._usage = UsageServicer(
            usage_database,
            self._relay,
            billing=stub,
            left_leases=LeftLeases(usage_database, stub),
            answers=Answers(Sealer(derive(APP_SECRET, "bench"))),
        )
        self._billing = BillingServicer(
            billing_database,
            announcer=Announcer(RecordingBus()),
            plans=Plans(nowhere),
            clock=utc_now,
            ids=new_id,
            terms=Terms(),
        )

    def record(self, rows: int, owners: int) -> Turn:
        """RecordUsage of new finals."""
        return self._record([self._message(owner) for owner in islice(cycle(self._owners[:owners]), rows)])

    def open(self, rows: int) -> list[usage.UsageRecord]:
        """Records of requests that are running; `report` and `finish` them."""
        running = []
        for owner in islice(cycle(self._owners), rows):
            message = self._message(owner)
            message.status = usage.USAGE_STATUS_OPEN
            running.append(message)
        return running

    def report(self, running: Sequence[usage.UsageRecord]) -> Turn:
        """RecordUsage of how they stand, each time with more tokens."""
        for message in running:
            message.output_tokens += 10
            message.latency_ms += 1_000
        return self._record(running)

    def finish(self, running: Sequence[usage.UsageRecord]) -> Turn:
        """RecordUsage of their end."""
        for message in running:
            message.status = usage.USAGE_STATUS_SUCCESS
        return self._record(running)

    def settle(self, rows: int, owners: int) -> Turn:
        """SettleCharges of new charges that have no lease."""
        charges = [
            billing.Charge(
                request_id=str(new_id()),
                revision=1,
                account_id=account_id,
                api_key_id=api_key_id,
                amount_nanos=COST_NANOS,
                model_public_name="privaterouter/fast",
                price_version_id=self._price_id,
                record_time=to_proto(datetime.now(UTC)),
            )
            for account_id, api_key_id in islice(cycle(self._owners[:owners]), rows)
        ]
        request = billing.SettleChargesRequest(charges=charges)
        return lambda: self._billing.SettleCharges(request, NOBODY)

    def lease_ids(self, number: int) -> list[str]:
        """Of leases to come, of as many accounts."""
        return [str(new_id()) for _ in range(number)]

    def acquire(self, lease_ids: Sequence[str]) -> Turn:
        """AcquireLeases."""
        wishes = [
            billing.LeaseWish(
                lease_id=lease_id,
                account_id=account_id,
                api_key_id=api_key_id,
                wanted_nanos=2 * HOLD_NANOS,
                needed_nanos=HOLD_NANOS,
                least_nanos=HOLD_NANOS,
            )
            for lease_id, (account_id, api_key_id) in zip(lease_ids, self._owners, strict=False)
        ]
        request = billing.AcquireLeasesRequest(worker_id=self._worker_id, wishes=wishes)
        return lambda: self._billing.AcquireLeases(request, NOBODY)

    def renew(self, lease_ids: Sequence[str], returned_nanos: int = 0) -> Turn:
        """RenewLeases, giving nothing back."""
        renewals = [billing.LeaseRenewal(lease_id=each, returned_nanos=returned_nanos) for each in lease_ids]
        request = billing.RenewLeasesRequest(worker_id=self._worker_id, renewals=renewals)
        return lambda: self._billing.RenewLeases(request, NOBODY)

    def take_back(self, lease_ids: Sequence[str]) -> Turn:
        """RenewLeases, giving back a part."""
        return self.renew(lease_ids, HOLD_NANOS)

    def close(self, lease_ids: Sequence[str]) -> Turn:
        """CloseLeases."""
        closings = [billing.LeaseClosing(lease_id=each, spent_nanos=COST_NANOS) for each in lease_ids]
        request = billing.CloseLeasesRequest(worker_id=self._worker_id, closings=closings)
        return lambda: self._billing.CloseLeases(request, NOBODY)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Callable[[int], Turn]]:
        """Rounds of the relay of at most so many charges, in the session that it would have."""
        async with self._usage_database.session() as session:

            async def round_of(most: int) -> None:
                charges = await store_outbox.waiting(session, limit=most)
                # Without the loop around it, which waits where there is nothing to do.
                await self._relay._settle(session, charges, set())  # noqa: SLF001

            yield lambda most: lambda: round_of(most)

    def _record(self, messages: Sequence[usage.UsageRecord]) -> Turn:
        request = usage.RecordUsageRequest(worker_id=self._worker_id, records=messages, alive=True)
        return lambda: self._usage.RecordUsage(request, NOBODY)

    def _message(self, owner: tuple[str, str]) -> usage.UsageRecord:
        return usage.UsageRecord(
            request_id=str(new_id()),
            worker_id=self._worker_id,
            lease_id=str(new_id()),
            account_id=owner[0],
            api_key_id=owner[1],
            model_public_name="privaterouter/fast",
            upstream_name="default",
            upstream_model="gemma4:latest",
            endpoint="chat.completions",
            status=usage.USAGE_STATUS_SUCCESS,
            input_tokens=400,
            output_tokens=120,
            price_version_id=self._price_id,
            input_nanos_per_mtok=100_000_000,
            cached_input_nanos_per_mtok=50_000_000,
            cache_write_input_nanos_per_mtok=100_000_000,
            output_nanos_per_mtok=300_000_000,
            cost_nanos=COST_NANOS,
            held_nanos=HOLD_NANOS,
            streamed=True,
            start_time=to_proto(datetime.now(UTC)),
            latency_ms=900,
            first_token_ms=80,
            http_status=200,
            finish_reason="stop",
        )


@asynccontextmanager
async def services(databases: Databases) -> AsyncIterator[Services]:
    """Both services on a new database, with accounts that have credit."""
    url = await databases.fresh("billing", "usage")
    admin = await databases.admin(url)
    accounts = [new_id() for _ in range(ACCOUNTS)]
    await admin.execute(OPEN_ACCOUNTS, accounts)
    usage_database = await databases.connect("usage", url)
    billing_database = await databases.connect("billing", url)
    await Uptime(billing_database, clock=utc_now).beat()
    yield Services(url, accounts=accounts, usage_database=usage_database, billing_database=billing_database)
