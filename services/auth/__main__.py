"""Serves auth: `python -m services.auth`."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx

from kit import logs, metrics, starting, tracing
from kit.bus import Bus
from kit.client import channel
from kit.clock import Clock, utc_now
from kit.database import Database
from kit.ids import IdFactory
from kit.secrets import sealer
from kit.server import run, serve
from kit.settings import load, text_of
from kit.sweep import sweep
from kit.tls import Tls
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import add_AuthServiceServicer_to_server
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.auth import account_openings, retention, virtual_keys
from services.auth.api_keys import Digester
from services.auth.callers import CALLERS
from services.auth.parts import Parts, ProxyParts
from services.auth.passwords import Passwords
from services.auth.proxy import Proxy
from services.auth.servicer import AuthServicer
from services.auth.settings import AuthSettings


@asynccontextmanager
async def built(settings: AuthSettings, *, tls: Tls | None = None, clock: Clock = utc_now) -> AsyncIterator[Parts]:
    """Everything the RPCs work with, closed at the end."""
    app_secret, previous = text_of(settings.app_secret_key), text_of(settings.app_secret_key_previous)
    async with AsyncExitStack() as stack:
        database = await Database.connect(settings.auth_database_url, application_name="auth")
        stack.push_async_callback(database.close)
        bus = await Bus.connect(settings.redis_url)
        stack.push_async_callback(bus.close)
        hashing = Passwords(os.urandom)
        stack.callback(hashing.close)
        billing = channel(settings.billing_addr, billing_pb2.DESCRIPTOR.services_by_name["BillingService"], tls=tls)
        await stack.enter_async_context(billing)
        seals = virtual_keys.Seals(sealer(app_secret, "auth: virtual keys", previous=previous))
        virtual = None
        if settings.litellm_virtual_keys:
            client = httpx.AsyncClient(
                base_url=settings.litellm_base_url.rstrip("/").removesuffix("/v1"),
                trust_env=False,  # the proxy is one of our own, whatever HTTP_PROXY says
            )
            proxy = Proxy(await stack.enter_async_context(client), settings.litellm_master_keys)
            virtual = ProxyParts(
                proxy=proxy,
                deletions=virtual_keys.deletions(database, proxy, clock=clock),
                updates=virtual_keys.updates(database, proxy, seals, clock=clock),
            )
        yield Parts(
            database=database,
            bus=bus,
            passwords=hashing,
            digester=Digester(app_secret, previous=previous),
            seals=seals,
            openings=account_openings.openings(database, BillingServiceStub(billing), clock=clock),
            virtual=virtual,
            clock=clock,
            ids=IdFactory(),
            random_bytes=os.urandom,
        )


async def main(settings: AuthSettings) -> None:
    """Serve until told to stop."""
    await starting.wait_for(
        starting.schema("auth", settings.auth_database_url, allow_newer=settings.allow_newer_schema),
        starting.valkey(settings.redis_url),
        within_s=settings.start_within_s,
    )
    tls = Tls.of(settings.tls_dir)
    async with built(settings, tls=tls) as parts:
        servicer = AuthServicer(parts)
        renew = partial(virtual_keys.renew_seals, parts.database, parts.seals)
        renewing = [renew] if settings.app_secret_key_previous else []
        sweeping = [
            partial(sweep, parts.database, "auth.sessions", retention.delete_sessions, clock=parts.clock),
            partial(sweep, parts.database, "auth.revocations", retention.delete_revocations, clock=parts.clock),
        ]
        await serve(
            name="auth",
            listen=settings.auth_listen,
            register=lambda server: add_AuthServiceServicer_to_server(servicer, server),
            services=[auth_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name],
            ready=parts.database.ping,
            background=[*renewing, *(relay.run for relay in parts.relays), *sweeping],
            tls=tls,
            callers=CALLERS,
            health_listen=settings.health_listen,
        )


if __name__ == "__main__":
    configured = load(AuthSettings)
    logs.configure("auth", level=configured.log_level)
    tracing.start("auth", configured)
    metrics.start(configured.metrics_port)
    run(main(configured))
