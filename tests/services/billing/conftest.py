"""A billing service for each test, whose books must be right at the end of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kit import client, server
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub, add_BillingServiceServicer_to_server
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import add_CatalogServiceServicer_to_server
from services.billing.announcements import Announcer
from services.billing.plans import Plans
from services.billing.servicer import BillingServicer
from services.billing.terms import Terms
from services.billing.uptime import Uptime
from tests.services.billing.world import Clock, FakeCatalog, RecordingBus, World, audit, new_id
from tests.support.databases import Databases


@pytest.fixture
async def unaudited(databases: Databases) -> AsyncIterator[World]:
    """Billing on a fresh database, for tests that spoil its books on purpose."""
    url = await databases.fresh("billing")
    database = await databases.connect("billing", url, max_size=12)
    catalog, bus, clock = FakeCatalog(), RecordingBus(), Clock()
    async with (
        server.running(
            listen="127.0.0.1:0", register=lambda real: add_CatalogServiceServicer_to_server(catalog, real), drain_s=1
        ) as catalog_target,
        client.channel(catalog_target, catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"]) as catalog_channel,
    ):
        announcer = Announcer(bus)
        servicer = BillingServicer(
            database, announcer=announcer, plans=Plans(catalog_channel), clock=clock, ids=new_id, terms=Terms()
        )
        announcing = asyncio.create_task(announcer.run())
        async with (
            server.running(
                listen="127.0.0.1:0",
                register=lambda real: add_BillingServiceServicer_to_server(servicer, real),
                drain_s=1,
            ) as target,
            client.channel(target, billing_pb2.DESCRIPTOR.services_by_name["BillingService"]) as channel,
        ):
            uptime = Uptime(database, clock=clock)
            await uptime.beat()
            yield World(
                stub=BillingServiceStub(channel),
                admin=await databases.admin(url),
                url=url,
                catalog=catalog,
                bus=bus,
                clock=clock,
                uptime=uptime,
            )
        announcing.cancel()


@pytest.fixture
async def world(unaudited: World) -> AsyncIterator[World]:
    """Billing on a fresh database; after the test, R1 to R3 are checked over all of it."""
    yield unaudited
    assert {name: rows for name, rows in (await audit(unaudited.admin)).items() if rows} == {}
