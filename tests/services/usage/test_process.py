"""The process itself: start, stop, kill, and its migrations."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from alembic import command

from kit import migrations, server
from kit.client import channel
from kit.health import is_serving
from privaterouter.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.services.usage.conftest import USAGE, Usage
from tests.services.usage.fakes import FakeBilling
from tests.support.databases import APP_SECRET, Databases
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def started(usage: Usage, databases: Databases, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real usage process on the test's database, ready."""
    listen = f"unix:{directory}/usage"
    settings = {
        "USAGE_DATABASE_URL": databases.url_for("usage", usage.url),
        "USAGE_LISTEN": listen,
        "BILLING_ADDR": f"unix:{directory}/billing",
        "USAGE_SETTLE_INTERVAL_S": "0.05",
        "USAGE_LOST_AFTER_S": "0.3",
        "APP_SECRET_KEY": APP_SECRET,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.usage"),
        cwd=ROOT,
        env=os.environ | settings,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with channel(listen, USAGE) as client:
            await eventually(lambda: is_serving(client), within_s=20, what="the server")
            usage.stub = UsageServiceStub(client)
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def billing_at(billing: FakeBilling, directory: Path) -> AsyncIterator[None]:
    def register(grpc_server: grpc.aio.Server) -> None:
        add_BillingServiceServicer_to_server(billing, grpc_server)

    async with server.running(listen=f"unix:{directory}/billing", register=register, drain_s=0):
        yield


async def test_it_takes_records_without_billing_and_settles_them_when_billing_comes(
    usage: Usage, databases: Databases, tmp_path: Path
) -> None:
    async with started(usage, databases, tmp_path) as process:
        sent, opened = usage.record(), usage.open()
        assert await usage.outcomes(sent, opened) == ["TAKEN", "TAKEN"]
        usage.billing.expired = {usage.worker_id}
        async with billing_at(usage.billing, tmp_path):

            async def drained() -> bool:
                return usage.billing.drained() == {usage.worker_id}

            await eventually(drained, within_s=20, what="the drained worker")
            process.send_signal(signal.SIGTERM)
            _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert {key: charge.amount_nanos for key, charge in usage.billing.booked.items()} == {
        (sent.request_id, 1): 16_000,
        (opened.request_id, 1): 16_000,
    }
    events = [json.loads(line)["event"] for line in err.splitlines() if line.startswith(b"{")]
    assert {"listening", "relay_leads", "worker_lost"} <= set(events)
    assert events[-1] == "stopped"


async def test_it_is_killed_while_billing_books_and_nothing_is_lost_or_doubled(
    usage: Usage, databases: Databases, tmp_path: Path
) -> None:
    records = [usage.record() for _ in range(200)]
    async with billing_at(usage.billing, tmp_path):
        for round_ in range(4):
            usage.billing.drops = 1
            async with started(usage, databases, tmp_path) as process:
                batch = records[round_ * 50 : (round_ + 1) * 50]
                assert set(await usage.outcomes(*batch)) == {"TAKEN"}

                async def at_billing(request_id: str = batch[-1].request_id) -> bool:
                    return usage.billing.sent[request_id, 1] > 0

                await eventually(at_billing, what="the charges at billing")
                process.kill()
                await process.wait()
        async with started(usage, databases, tmp_path):
            assert set(await usage.outcomes(*records)) == {"KNOWN"}
            await eventually(usage.settled, what="an empty outbox")
    assert len(usage.billing.booked) == 200
    assert max(usage.billing.sent.values()) > 1
    assert await usage.admin.fetchval("SELECT count(*) FROM usage.usage_records") == 200


async def test_the_tables_are_what_the_migrations_make(databases: Databases) -> None:
    url = await databases.fresh("usage")
    assert await migrations.check("usage", url) == []
    assert await migrations.current("usage", url) == migrations.head("usage")


async def test_the_migrations_can_be_undone(databases: Databases) -> None:
    url = await databases.fresh("usage")
    admin = await databases.admin(url)
    await asyncio.to_thread(_downgrade, url)
    left = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'usage'")
    assert [row["tablename"] for row in left] == ["alembic_version"]
    await migrations.upgrade("usage", url)
    assert await migrations.check("usage", url) == []


def _downgrade(url: str) -> None:
    with migrations._alembic_is_global:
        command.downgrade(migrations._config("usage", url), "base")
