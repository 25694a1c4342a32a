"""A catalogue on a database of its own, called over gRPC as its callers do."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest

from kit import client, server
from kit.bus import Bus
from kit.clock import utc_now
from kit.database import Database
from kit.ids import IdFactory
from privaterouter.catalog.v1 import catalog_pb2 as pb
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub, add_CatalogServiceServicer_to_server
from services.catalog import seed as seeding
from services.catalog.servicer import CatalogServicer
from services.catalog.settings import SeedSettings
from services.catalog.upstreams import Credentials
from tests.support.databases import APP_SECRET, Databases

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
EMBEDDED = {
    "UPSTREAM_KIND": "embedded",
    "EMBEDDED_CHAT_URL": "http://127.0.0.1:4001",
    "EMBEDDED_EMBED_URL": "http://127.0.0.1:4002/v1",
    "EMBEDDED_CHAT_MODEL": "smollm2",
    "EMBEDDED_EMBED_MODEL": "smollm2-embed",
}


@dataclass
class Catalog:
    """The running service, its database, and what a test may ask of them."""

    stub: CatalogServiceStub
    database: Database
    admin: "asyncpg.Connection[asyncpg.Record]"
    bus: Bus
    url: str

    async def newest(self) -> pb.GetCatalogResponse:
        return await self.stub.GetCatalog(pb.GetCatalogRequest())

    async def version(self) -> int:
        return (await self.newest()).version

    async def model(self, public_name: str) -> pb.Model:
        return next(model for model in (await self.newest()).models if model.public_name == public_name)

    async def plan(self, plan_id: str) -> pb.Plan:
        return (await self.stub.GetPlan(pb.GetPlanRequest(plan_id=plan_id))).plan

    async def seed(self, **environment: str) -> seeding.Report:
        """Seed as the program does, with these variables."""
        values = {name.lower(): value for name, value in (environment or EMBEDDED).items()}
        base = {"catalog_database_url": "unused", "redis_url": "unused", "app_secret_key": APP_SECRET}
        return await seeding.seed(
            self.database,
            bus=self.bus,
            settings=SeedSettings.model_validate(base | values),
            credentials=Credentials(APP_SECRET),
            ids=IdFactory(),
            now=NOW,
        )


@pytest.fixture
async def catalog(databases: Databases, redis_url: str) -> AsyncIterator[Catalog]:
    """An empty catalogue."""
    url = await databases.fresh("catalog")
    database = await databases.connect("catalog", url)
    bus = await Bus.connect(redis_url)
    servicer = CatalogServicer(database, bus=bus, credentials=Credentials(APP_SECRET), clock=utc_now, ids=IdFactory())
    service = pb.DESCRIPTOR.services_by_name["CatalogService"]
    async with (
        server.running(
            listen="127.0.0.1:0",
            register=lambda started: add_CatalogServiceServicer_to_server(servicer, started),
            drain_s=0,
        ) as target,
        client.channel(target, service) as channel,
    ):
        yield Catalog(CatalogServiceStub(channel), database, await databases.admin(url), bus, url)
    await bus.close()


@pytest.fixture
async def seeded(catalog: Catalog) -> Catalog:
    """A catalogue seeded for the embedded stack."""
    await catalog.seed()
    return catalog
