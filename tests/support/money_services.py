"""Billing and usage as real servers on one database, with real charges between them, for tests of their agreement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from kit import client, server
from kit.clock import utc_now
from kit.database import Database
from kit.ids import IdFactory
from kit.secrets import Sealer, derive
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub, add_BillingServiceServicer_to_server
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import add_CatalogServiceServicer_to_server
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub, add_UsageServiceServicer_to_server
from services.billing.announcements import Announcer
from services.billing.plans import Plans
from services.billing.servicer import BillingServicer
from services.billing.terms import Terms
from services.billing.uptime import Uptime
from services.usage.idempotency import Answers
from services.usage.leftovers import LeftLeases
from services.usage.relay import Relay
from services.usage.servicer import UsageServicer
from services.usage.workers import LostWorkers
from tests.services.billing.world import USD, Clock, FakeCatalog, Owner, RecordingBus, World
from tests.support.databases import APP_SECRET, Databases
from tests.support.waiting import eventually

BILLING = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]
USAGE = usage_pb2.DESCRIPTOR.services_by_name["UsageService"]
CATALOG = catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"]
COST = 16_000
new_id = IdFactory()


def make_id() -> str:
    return str(new_id())


@dataclass
class UsageClock:
    """Usage's time: ten minutes ago until `catch_up`, so that what is recorded is old enough to be compared."""

    behind: timedelta = timedelta(minutes=10)
    elapsed_s: float = 0.0

    def __call__(self) -> datetime:
        return utc_now() - self.behind


@dataclass
class MoneyServices:
    """Both services, and what a test does with them; `world` is billing's side."""

    world: World
    billing_target: str
    usage_target: str
    usage: UsageServiceStub
    usage_database: Database
    left_leases: LeftLeases
    clock: UsageClock
    relay: Relay
    relaying: "list[asyncio.Task[None]]" = field(default_factory=list)

    @property
    def admin(self) -> "asyncpg.Connection[asyncpg.Record]":
        """May do anything in the database of both."""
        return self.world.admin

    async def owner(self) -> Owner:
        """Someone with a dollar."""
        return await self.world.owner(USD)

    async def record(self, owner: Owner, number: int = 1, **changes: Any) -> list[str]:
        """Sends so many final records; their request ids."""
        records = [_record(owner, **changes) for _ in range(number)]
        request = usage_pb2.RecordUsageRequest(worker_id=owner.worker_id, records=records, alive=True)
        results = (await self.usage.RecordUsage(request)).results
        assert {result.outcome for result in results} == {usage_pb2.RECORD_OUTCOME_TAKEN}
        return [record.request_id for record in records]

    async def settled(self) -> None:
        """Lets the relay run until the outbox is empty."""
        if not self.relaying:
            self.relaying.append(asyncio.create_task(self.relay.run()))

        async def empty() -> bool:
            return not await self.admin.fetchval("SELECT count(*) FROM usage.outbox WHERE parked_reason IS NULL")

        await eventually(empty, what="an empty outbox")

    def catch_up(self) -> None:
        """Usage's time is the real one now."""
        self.clock.behind = timedelta(0)

    async def reconcile(
        self, *, limit: int = 2, from_time: datetime | None = None
    ) -> tuple[int, int, list[usage_pb2.ReconciliationMismatch]]:
        """R4 in pages of `limit`: records and charges that were looked at, and what differs."""
        request = usage_pb2.ReconcileChargesRequest(limit=limit, from_time=to_proto(from_time) if from_time else None)
        records, charges = 0, 0
        found: list[usage_pb2.ReconciliationMismatch] = []
        while True:
            answer = await self.usage.ReconcileCharges(request)
            records, charges = records + answer.records, charges + answer.charges
            found += answer.mismatches
            if not answer.next_page_token:
                return records, charges, found
            request.page_token = answer.next_page_token
            request.to_time.CopyFrom(answer.to_time)

    async def close(self) -> None:
        """Ends the relay, until `settled` is asked for again."""
        while self.relaying:
            task = self.relaying.pop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def money_services(databases: Databases) -> AsyncIterator[MoneyServices]:
    """Both on a fresh database; charges wait in the outbox until `settled`."""
    url = await databases.fresh("billing", "usage")
    billing_database = await databases.connect("billing", url)
    usage_database = await databases.connect("usage", url)
    catalog, bus, clock = FakeCatalog(), RecordingBus(), UsageClock()
    async with AsyncExitStack() as stack:
        catalog_target = await stack.enter_async_context(
            _serve(lambda real: add_CatalogServiceServicer_to_server(catalog, real))
        )
        plans = Plans(await stack.enter_async_context(client.channel(catalog_target, CATALOG)))
        billing = BillingServicer(
            billing_database, announcer=Announcer(bus), plans=plans, clock=utc_now, ids=new_id, terms=Terms()
        )
        billing_target = await stack.enter_async_context(
            _serve(lambda real: add_BillingServiceServicer_to_server(billing, real))
        )
        billing_stub = BillingServiceStub(await stack.enter_async_context(client.channel(billing_target, BILLING)))
        left_leases = LeftLeases(usage_database, billing_stub, now=clock, elapsed_s=lambda: clock.elapsed_s)
        relay = Relay(usage_database, billing_stub, LostWorkers(usage_database), interval_s=0.05, poll_s=0.02)
        answers = Answers(Sealer(derive(APP_SECRET, "test")))
        servicer = UsageServicer(
            usage_database, relay, billing=billing_stub, left_leases=left_leases, answers=answers, now=clock
        )
        usage_target = await stack.enter_async_context(
            _serve(lambda real: add_UsageServiceServicer_to_server(servicer, real))
        )
        beats = Clock(utc_now())
        uptime = Uptime(billing_database, clock=beats)
        await uptime.beat()
        made = MoneyServices(
            world=World(
                stub=billing_stub,
                admin=await databases.admin(url),
                url=url,
                catalog=catalog,
                bus=bus,
                clock=beats,
                uptime=uptime,
            ),
            billing_target=billing_target,
            usage_target=usage_target,
            usage=UsageServiceStub(await stack.enter_async_context(client.channel(usage_target, USAGE))),
            usage_database=usage_database,
            left_leases=left_leases,
            clock=clock,
            relay=relay,
        )
        try:
            yield made
        finally:
            await made.close()


def _serve(register: server.Register) -> Any:
    return server.running(listen="127.0.0.1:0", register=register, drain_s=0)


def _record(owner: Owner, **changes: Any) -> usage_pb2.UsageRecord:
    """A final record of COST nano-dollars, held on no lease."""
    values: dict[str, Any] = {
        "request_id": make_id(),
        "worker_id": owner.worker_id,
        "account_id": owner.account_id,
        "api_key_id": owner.api_key_id,
        "model_public_name": "privaterouter/fast",
        "endpoint": "chat.completions",
        "status": usage_pb2.USAGE_STATUS_SUCCESS,
        "input_tokens": 100,
        "output_tokens": 20,
        "price_version_id": make_id(),
        "input_nanos_per_mtok": 100_000_000,
        "cached_input_nanos_per_mtok": 100_000_000,
        "output_nanos_per_mtok": 300_000_000,
        "cost_nanos": COST,
        "held_nanos": 50_000,
        "start_time": to_proto(datetime.now(UTC)),
        "http_status": 200,
        "finish_reason": "stop",
    }
    return usage_pb2.UsageRecord(**values | changes)
