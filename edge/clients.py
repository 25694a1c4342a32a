"""The edge's connections to the four services."""

from dataclasses import dataclass

import grpc

from edge.settings import EdgeSettings
from kit.client import channel
from kit.tls import Tls
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub


@dataclass(frozen=True)
class Clients:
    """Stubs whose calls have a deadline and fail with kit.errors.RemoteError only."""

    auth: AuthServiceStub
    catalog: CatalogServiceStub
    billing: BillingServiceStub
    usage: UsageServiceStub
    channels: dict[str, grpc.aio.Channel]
    """By service name, for health checks."""

    @classmethod
    def connect(cls, settings: EdgeSettings, *, tls: Tls | None = None) -> "Clients":
        """Clients that connect when first used; a service may be away now."""
        channels = {
            name: channel(address, file.services_by_name[f"{name.title()}Service"], tls=tls)
            for name, address, file in (
                ("auth", settings.auth_addr, auth_pb2.DESCRIPTOR),
                ("catalog", settings.catalog_addr, catalog_pb2.DESCRIPTOR),
                ("billing", settings.billing_addr, billing_pb2.DESCRIPTOR),
                ("usage", settings.usage_addr, usage_pb2.DESCRIPTOR),
            )
        }
        return cls(
            auth=AuthServiceStub(channels["auth"]),
            catalog=CatalogServiceStub(channels["catalog"]),
            billing=BillingServiceStub(channels["billing"]),
            usage=UsageServiceStub(channels["usage"]),
            channels=channels,
        )

    async def close(self) -> None:
        """Closes all channels."""
        for connected in self.channels.values():
            await connected.close()
