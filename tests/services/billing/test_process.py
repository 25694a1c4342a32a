"""`python -m services.billing` as a process, and the work that it does beside its calls."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kit import client, health, server
from kit.bus import Bus
from kit.clock import utc_now
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1.catalog_pb2_grpc import add_CatalogServiceServicer_to_server
from services.billing.announcements import MOST_WAITING, Announcer
from services.billing.settings import BillingSettings
from services.billing.terms import Terms
from services.billing.uptime import Uptime
from tests.services.billing.world import USD, FakeCatalog, RecordingBus, new_id, some_id
from tests.support.databases import Databases
from tests.support.waiting import eventually

SERVICE = pb.DESCRIPTOR.services_by_name["BillingService"]


@asynccontextmanager
async def billing_process(**environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.billing", env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_process_serves_beats_announces_and_drains(
    databases: Databases, redis_url: str, tmp_path: Path
) -> None:
    url = await databases.fresh("billing")
    admin = await databases.admin(url)
    catalog = FakeCatalog()
    heard: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue()

    async def hear(topic: str, payload: dict[str, str]) -> None:
        heard.put_nowait((topic, payload))

    bus = await Bus.connect(redis_url)
    listening = asyncio.create_task(bus.subscribe(["accounts"], hear))
    async with (
        server.running(
            listen="127.0.0.1:0", register=lambda real: add_CatalogServiceServicer_to_server(catalog, real), drain_s=1
        ) as catalog_target,
        billing_process(
            BILLING_DATABASE_URL=databases.url_for("billing", url),
            BILLING_LISTEN=f"unix:{tmp_path}/billing",
            BILLING_BEAT_S="0.05",
            CATALOG_ADDR=catalog_target,
            REDIS_URL=redis_url,
        ) as process,
        client.channel(f"unix:{tmp_path}/billing", SERVICE) as channel,
    ):
        assert await heard.get() == ("", {})

        async def ready() -> bool:
            return await health.is_serving(channel)

        await eventually(ready, within_s=20, what="the process")
        account_id = some_id()
        answer = await BillingServiceStub(channel).OpenAccount(pb.OpenAccountRequest(account_id=account_id))
        assert answer.account.posted_nanos == USD
        assert await heard.get() == ("accounts", {"account_id": account_id, "kind": "changed"})
        before = await admin.fetchval("SELECT uptime_ms FROM billing.uptime")

        async def beats() -> bool:
            return bool(await admin.fetchval("SELECT uptime_ms > $1 FROM billing.uptime", before))

        await eventually(beats, what="a beat")
        process.terminate()
        assert await process.wait() == 0
    listening.cancel()
    await bus.close()


async def test_beating_goes_on_after_the_database_was_away(databases: Databases) -> None:
    url = await databases.fresh("billing")
    admin = await databases.admin(url)
    database = await databases.connect("billing", url)
    beating = asyncio.create_task(Uptime(database, clock=utc_now, interval_s=0.02).run())

    async def reached() -> int:
        found: int = await admin.fetchval("SELECT uptime_ms FROM billing.uptime")
        return found

    for _ in range(3):
        before = await reached()

        async def advanced(before: int = before) -> bool:
            return await reached() > before

        await eventually(advanced, what="a beat")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test-billing'"
        )
    await eventually(advanced, what="a beat after the outage")
    assert not beating.done()
    beating.cancel()


async def test_announcements_beyond_the_bound_are_dropped_not_waited_for() -> None:
    bus = RecordingBus()
    announcer = Announcer(bus)
    ids = [new_id() for _ in range(MOST_WAITING + 5)]
    for account_id in ids:
        announcer.recall(account_id)
    running = asyncio.create_task(announcer.run())

    async def all_sent() -> bool:
        return len(bus.hints) == MOST_WAITING

    await eventually(all_sent)
    assert bus.hints[-1] == ("accounts", {"account_id": str(ids[MOST_WAITING - 1]), "kind": "recall"})
    running.cancel()


def test_the_default_settings_are_the_terms_of_the_design(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BILLING_DATABASE_URL", "BILLING_LISTEN", "CATALOG_ADDR", "REDIS_URL"):
        monkeypatch.setenv(name, "unused")
    assert BillingSettings().terms() == Terms()
    monkeypatch.setenv("BILLING_LEASE_S", "0.6")
    monkeypatch.setenv("BILLING_RELEASE_AFTER_S", "0.9")
    scaled = BillingSettings().terms()
    assert (scaled.lease_ms, scaled.release_after_ms) == (600, 900)
