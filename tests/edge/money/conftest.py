"""A worker's money path between a fake billing and a fake usage, at a pace that tests can wait for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit import server
from kit.client import channel
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub, add_BillingServiceServicer_to_server
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub, add_UsageServiceServicer_to_server
from tests.edge.money.world import PACE, World
from tests.support.fake_money import FakeBilling, FakeUsage


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Services without accounts; `world.worker()` makes workers, which are closed after the test."""
    billing = FakeBilling()  # type: ignore[abstract]  # an edge calls only what it has
    usage = FakeUsage()  # type: ignore[abstract]
    async with (
        server.running(
            listen=f"unix:{tmp_path}/billing",
            register=lambda real: add_BillingServiceServicer_to_server(billing, real),
            drain_s=0,
        ) as billing_target,
        server.running(
            listen=f"unix:{tmp_path}/usage",
            register=lambda real: add_UsageServiceServicer_to_server(usage, real),
            drain_s=0,
        ) as usage_target,
        channel(billing_target, billing_pb2.DESCRIPTOR.services_by_name["BillingService"]) as billing_channel,
        channel(usage_target, usage_pb2.DESCRIPTOR.services_by_name["UsageService"]) as usage_channel,
    ):
        world = World(
            billing=billing,
            usage=usage,
            billing_stub=BillingServiceStub(billing_channel),
            usage_stub=UsageServiceStub(usage_channel),
            directory=tmp_path / "journal",
            pace=replace(PACE),
        )
        yield world
        await world.close()
