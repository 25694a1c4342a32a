"""Fake services behind real channels."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit import server
from kit.client import channel
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub, add_AuthServiceServicer_to_server
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub, add_BillingServiceServicer_to_server
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub, add_CatalogServiceServicer_to_server
from tests.edge.lookup.world import Clock, FakeAuth, FakeCatalog
from tests.support.fake_money import FakeBilling


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth() -> FakeAuth:
    return FakeAuth()  # type: ignore[abstract]  # an edge's look-ups call only what it has


@pytest.fixture
def billing() -> FakeBilling:
    return FakeBilling()  # type: ignore[abstract]


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()  # type: ignore[abstract]


@pytest.fixture
async def auth_stub(auth: FakeAuth, tmp_path: Path) -> AsyncIterator[AuthServiceStub]:
    async with (
        server.running(
            listen=f"unix:{tmp_path}/auth",
            register=lambda real: add_AuthServiceServicer_to_server(auth, real),
            drain_s=0,
        ) as target,
        channel(target, auth_pb2.DESCRIPTOR.services_by_name["AuthService"]) as connected,
    ):
        yield AuthServiceStub(connected)


@pytest.fixture
async def billing_stub(billing: FakeBilling, tmp_path: Path) -> AsyncIterator[BillingServiceStub]:
    async with (
        server.running(
            listen=f"unix:{tmp_path}/billing",
            register=lambda real: add_BillingServiceServicer_to_server(billing, real),
            drain_s=0,
        ) as target,
        channel(target, billing_pb2.DESCRIPTOR.services_by_name["BillingService"]) as connected,
    ):
        yield BillingServiceStub(connected)


@pytest.fixture
async def catalog_stub(catalog: FakeCatalog, tmp_path: Path) -> AsyncIterator[CatalogServiceStub]:
    async with (
        server.running(
            listen=f"unix:{tmp_path}/catalog",
            register=lambda real: add_CatalogServiceServicer_to_server(catalog, real),
            drain_s=0,
        ) as target,
        channel(target, catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"]) as connected,
    ):
        yield CatalogServiceStub(connected)
