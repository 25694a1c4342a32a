"""The usage service on a database of its own, called over gRPC as its callers do, with a billing service beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest

from kit import client, server
from kit.database import Database
from kit.ids import IdFactory, lowest_id, uuid7
from kit.secrets import Sealer, derive
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub, add_BillingServiceServicer_to_server
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1 import usage_pb2_grpc
from services.usage.idempotency import Answers
from services.usage.leftovers import LeftLeases
from services.usage.relay import Relay
from services.usage.servicer import UsageServicer
from services.usage.workers import LostWorkers
from tests.services.usage.fakes import FakeBilling
from tests.support.databases import APP_SECRET, Databases
from tests.support.money_services import MoneyServices, money_services

START = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
BILLING = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]
USAGE = pb.DESCRIPTOR.services_by_name["UsageService"]
new_id = IdFactory()

RECOUNT = """
SELECT account_id, (start_time AT TIME ZONE 'UTC')::date AS day, model_public_name, api_key_id, count(*) AS requests,
       count(*) FILTER (WHERE status <> 'success') AS errors, sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens, sum(cost_nanos)::bigint AS cost_nanos,
       sum(cached_input_tokens)::bigint, sum(cache_write_input_tokens)::bigint, sum(reasoning_tokens)::bigint
FROM usage.usage_records WHERE status <> 'open' GROUP BY 1, 2, 3, 4
"""
RECOUNT_MODELS = """
SELECT (start_time AT TIME ZONE 'UTC')::date AS day,
       CASE served_model_public_name WHEN '' THEN model_public_name ELSE served_model_public_name END,
       status <> 'error', worker_id, count(*), count(*) FILTER (WHERE status <> 'success'), sum(input_tokens)::bigint,
       sum(cached_input_tokens)::bigint, sum(cache_write_input_tokens)::bigint, sum(output_tokens)::bigint,
       sum(reasoning_tokens)::bigint, sum(cost_nanos)::bigint
FROM usage.usage_records WHERE status <> 'open' GROUP BY 1, 2, 3, 4
"""


def make_id() -> str:
    return str(new_id())


def id_at(moment: datetime) -> str:
    """An id that was made then; of one millisecond they are in no order."""
    return str(UUID(int=lowest_id(moment).int | uuid7(0, os.urandom).int))


@dataclass
class Usage:
    """The running service, its database, billing beside it, and what a test may ask of them."""

    stub: usage_pb2_grpc.UsageServiceStub
    database: Database
    url: str
    admin: "asyncpg.Connection[asyncpg.Record]"
    billing: FakeBilling
    billing_stub: BillingServiceStub
    relay: Relay
    worker_id: str = field(default_factory=make_id)
    account_id: str = field(default_factory=make_id)
    api_key_id: str = field(default_factory=make_id)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def record(self, **changes: Any) -> pb.UsageRecord:
        """A final record that makes sense: 100 prompt and 20 output tokens for 16,000 nano-dollars."""
        values: dict[str, Any] = {
            "request_id": make_id(),
            "worker_id": self.worker_id,
            "lease_id": make_id(),
            "account_id": self.account_id,
            "api_key_id": self.api_key_id,
            "model_public_name": "privaterouter/fast",
            "upstream_name": "ollama",
            "upstream_model": "gemma4:latest",
            "endpoint": "chat.completions",
            "status": pb.USAGE_STATUS_SUCCESS,
            "input_tokens": 100,
            "cached_input_tokens": 10,
            "cache_write_input_tokens": 20,
            "output_tokens": 20,
            "reasoning_tokens": 5,
            "price_version_id": make_id(),
            "input_nanos_per_mtok": 100_000_000,
            "cached_input_nanos_per_mtok": 100_000_000,
            "cache_write_input_nanos_per_mtok": 100_000_000,
            "output_nanos_per_mtok": 300_000_000,
            "cost_nanos": 16_000,
            "held_nanos": 50_000,
            "streamed": True,
            "start_time": to_proto(START),
            "latency_ms": 1_200,
            "first_token_ms": 80,
            "http_status": 200,
            "finish_reason": "stop",
        }
        return pb.UsageRecord(**values | changes)

    def open(self, **changes: Any) -> pb.UsageRecord:
        """An open report of the same."""
        return self.record(**{"status": pb.USAGE_STATUS_OPEN, "finish_reason": ""} | changes)

    async def send(self, *records: pb.UsageRecord, worker_id: str = "", alive: bool = True) -> list[pb.RecordResult]:
        """What became of each record."""
        request = pb.RecordUsageRequest(worker_id=worker_id or self.worker_id, records=records, alive=alive)
        return list((await self.stub.RecordUsage(request)).results)

    async def outcomes(self, *records: pb.UsageRecord, worker_id: str = "", alive: bool = True) -> list[str]:
        """The same, by name: TAKEN, KNOWN or REFUSED."""
        results = await self.send(*records, worker_id=worker_id, alive=alive)
        return [pb.RecordOutcome.Name(result.outcome).removeprefix("RECORD_OUTCOME_") for result in results]

    async def row(self, request_id: str) -> dict[str, Any]:
        """The stored record as it is, open or final."""
        row = await self.admin.fetchrow(
            "SELECT * FROM usage.usage_records WHERE request_id = $1::text::uuid", request_id
        )
        assert row is not None
        return dict(row)

    async def get(self, request_id: str) -> pb.UsageRecord:
        request = pb.GetUsageRequest(account_id=self.account_id, request_id=request_id)
        return (await self.stub.GetUsage(request)).record

    async def list(self, **arguments: Any) -> pb.ListUsageResponse:
        return await self.stub.ListUsage(pb.ListUsageRequest(account_id=self.account_id, **arguments))

    async def summarize(self, group: "pb.SummaryGroup.ValueType", **arguments: Any) -> pb.SummarizeUsageResponse:
        request = pb.SummarizeUsageRequest(account_id=self.account_id, group=group, **arguments)
        return await self.stub.SummarizeUsage(request)

    async def summarize_all(self, group: "pb.SummaryGroup.ValueType", **arguments: Any) -> pb.SummarizeAllUsageResponse:
        return await self.stub.SummarizeAllUsage(pb.SummarizeAllUsageRequest(group=group, **arguments))

    async def outbox(self) -> dict[tuple[str, int], int]:
        """Amounts of all charges that billing has not booked, by request and revision."""
        rows = await self.admin.fetch("SELECT request_id::text, revision, amount_nanos FROM usage.outbox ORDER BY id")
        return {(row[0], row[1]): row[2] for row in rows}

    async def settled(self) -> bool:
        """Whether the outbox is empty."""
        return not await self.outbox()

    def make_relay(
        self,
        *,
        interval_s: float = 0.05,
        timeout_s: float = 15.0,
        lost_after_s: float = 60.0,
        forgotten_after_s: float = 600.0,
    ) -> Relay:
        """A further relay, as of another process; `start` it."""
        lost = LostWorkers(self.database, lost_after_s=lost_after_s, forgotten_after_s=forgotten_after_s)
        return Relay(self.database, self.billing_stub, lost, interval_s=interval_s, poll_s=0.02, timeout_s=timeout_s)

    def start(self, relay: Relay | None = None) -> "asyncio.Task[None]":
        """Lets a relay run until the end of the test, or until it is stopped."""
        task = asyncio.create_task((relay or self.relay).run())
        self.tasks.append(task)
        return task

    async def stop(self, task: "asyncio.Task[None]") -> None:
        """Ends a relay wherever it is, as a crash would."""
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def daily(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The roll-ups that count something."""
        rows = await self.admin.fetch("SELECT * FROM usage.usage_daily WHERE requests > 0")
        rows += await self.admin.fetch("SELECT * FROM usage.model_daily WHERE requests > 0")
        return {tuple(row)[:4]: tuple(row)[4:] for row in rows}

    async def recounted(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """What the roll-ups must be, from the records."""
        rows = [*await self.admin.fetch(RECOUNT), *await self.admin.fetch(RECOUNT_MODELS)]
        return {tuple(row)[:4]: tuple(row)[4:] for row in rows}


@pytest.fixture
async def usage(databases: Databases) -> AsyncIterator[Usage]:
    """A usage service whose relay rests until `usage.start()`; in the end its roll-ups must equal a recount."""
    url = await databases.fresh("usage")
    database = await databases.connect("usage", url)
    billing = FakeBilling()  # type: ignore[abstract]
    async with AsyncExitStack() as stack:
        billing_target = await stack.enter_async_context(
            server.running(listen="127.0.0.1:0", register=_register_billing(billing), drain_s=0)
        )
        billing_channel = await stack.enter_async_context(client.channel(billing_target, BILLING))
        billing_stub = BillingServiceStub(billing_channel)
        lost = LostWorkers(database)
        # So slow by itself that only being woken explains what tests see of it.
        relay = Relay(database, billing_stub, lost, interval_s=60, poll_s=60)
        left_leases = LeftLeases(database, billing_stub)
        servicer = UsageServicer(
            database,
            relay,
            billing=billing_stub,
            left_leases=left_leases,
            answers=Answers(Sealer(derive(APP_SECRET, "test"))),
        )

        def register(grpc_server: grpc.aio.Server) -> None:
            usage_pb2_grpc.add_UsageServiceServicer_to_server(servicer, grpc_server)

        target = await stack.enter_async_context(server.running(listen="127.0.0.1:0", register=register, drain_s=0))
        channel = await stack.enter_async_context(client.channel(target, USAGE))
        made = Usage(
            stub=usage_pb2_grpc.UsageServiceStub(channel),
            database=database,
            url=url,
            admin=await databases.admin(url),
            billing=billing,
            billing_stub=billing_stub,
            relay=relay,
        )
        yield made
        for task in made.tasks:
            await made.stop(task)
        assert await made.daily() == await made.recounted()


def _register_billing(billing: FakeBilling) -> Callable[[grpc.aio.Server], None]:
    def register(grpc_server: grpc.aio.Server) -> None:
        add_BillingServiceServicer_to_server(billing, grpc_server)

    return register


@pytest.fixture
async def money(databases: Databases) -> AsyncIterator[MoneyServices]:
    """Usage with a real billing service beside it."""
    async with money_services(databases) as made:
        yield made
