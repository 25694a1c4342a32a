"""Finds the services of a running stack, embedded or deployed, and runs one command's calls to them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.descriptor import ServiceDescriptor

from cli.errors import CommandError, told
from cli.settings import CliSettings
from deploy.local import places
from deploy.local.home import Home
from deploy.local.places import Places
from kit.client import channel
from kit.settings import load
from kit.tls import Tls
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

T = TypeVar("T")

TIMEOUT_S = 15.0

SERVICES: dict[str, ServiceDescriptor] = {
    "auth": auth_pb2.DESCRIPTOR.services_by_name["AuthService"],
    "catalog": catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    "billing": billing_pb2.DESCRIPTOR.services_by_name["BillingService"],
    "usage": usage_pb2.DESCRIPTOR.services_by_name["UsageService"],
}


@dataclass(frozen=True)
class Clients:
    """Stubs of the services that operators talk to; calls fail with RemoteError only."""

    auth: AuthServiceStub
    catalog: CatalogServiceStub
    billing: BillingServiceStub
    usage: UsageServiceStub


def run(command: Callable[[Clients], Awaitable[T]], *, status: int = 1) -> T:
    """Call the services as `command` does; expected failures end the process with one line and that status."""
    with told(status=status):
        settings = load(CliSettings)
        targets = addresses(settings)
        # The embedded stack speaks plaintext over sockets of its own, whatever is set for a deployed one.
        tls = Tls.of(settings.tls_dir) if settings.auth_addr else None
        return asyncio.run(_run(command, targets, tls=tls))


async def _run(command: Callable[[Clients], Awaitable[T]], targets: dict[str, str], *, tls: Tls | None) -> T:
    channels = {
        name: channel(targets[name], descriptor, timeout_s=TIMEOUT_S, tls=tls) for name, descriptor in SERVICES.items()
    }
    try:
        return await command(
            Clients(
                auth=AuthServiceStub(channels["auth"]),
                catalog=CatalogServiceStub(channels["catalog"]),
                billing=BillingServiceStub(channels["billing"]),
                usage=UsageServiceStub(channels["usage"]),
            )
        )
    finally:
        for connected in channels.values():
            await connected.close()


def addresses(settings: CliSettings) -> dict[str, str]:
    """The gRPC target of each service: as set, else of the embedded stack that runs; CommandError where none does."""
    given = {
        "auth": settings.auth_addr,
        "catalog": settings.catalog_addr,
        "billing": settings.billing_addr,
        "usage": settings.usage_addr,
    }
    if all(given.values()):
        return given
    if any(given.values()):
        missing = [f"{name.upper()}_ADDR" for name, address in given.items() if not address]
        raise CommandError(f"Set {' and '.join(missing)} as well, or none of them to use the embedded stack.")
    running = embedded(settings)
    return {name: running.address(name) for name in SERVICES}


def embedded(settings: CliSettings) -> Places:
    """The embedded stack that runs in PRIVATEROUTER_HOME; CommandError where none does."""
    home = Home(settings.privaterouter_home.expanduser().absolute())
    running = places.read(home.places)
    if running is None:
        raise CommandError(
            f"No stack runs in {home.root}. Start one with `make up`, name its PRIVATEROUTER_HOME, "
            "or set AUTH_ADDR, CATALOG_ADDR, BILLING_ADDR and USAGE_ADDR to reach a deployed one."
        )
    return running
