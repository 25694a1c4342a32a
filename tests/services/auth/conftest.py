"""Auth on a database of its own, composed as its process composes it and called over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from kit import client, server
from kit.database import Database
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub, add_AuthServiceServicer_to_server
from privaterouter.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from services.auth.__main__ import built
from services.auth.parts import Parts
from services.auth.servicer import AuthServicer
from services.auth.settings import AuthSettings
from tests.services.auth.fakes import MASTER_KEY, NEXT_MASTER_KEY, FakeBilling, FakeLiteLlm, Time, cancelled
from tests.support.databases import APP_SECRET, Databases

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
PASSWORD = "correct-horse-battery-staple"


@dataclass
class Auth:
    """The running service, what it works with, and shorthands for what most tests begin with."""

    stub: AuthServiceStub
    admin: "asyncpg.Connection[asyncpg.Record]"
    watcher: "asyncpg.Connection[asyncpg.Record]"
    parts: Parts
    clock: Time
    billing: FakeBilling
    proxy: FakeLiteLlm
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.parts.database

    def start_relays(self) -> None:
        """Runs the background tasks of the process until the test ends."""
        self.tasks += [asyncio.create_task(relay.run()) for relay in self.parts.relays]

    async def sign_up(self, email: str = "alice@example.com", *, name: str = "Alice") -> pb.SignUpResponse:
        return await self.stub.SignUp(pb.SignUpRequest(email=email, password=PASSWORD, name=name))

    async def log_in(self, email: str = "alice@example.com", password: str = PASSWORD) -> pb.LogInResponse:
        return await self.stub.LogIn(pb.LogInRequest(email=email, password=password))

    async def user_id(self, email: str = "alice@example.com") -> str:
        return (await self.sign_up(email)).user.id

    async def create_key(self, user_id: str, **values: Any) -> pb.CreateApiKeyResponse:
        return await self.stub.CreateApiKey(pb.CreateApiKeyRequest(user_id=user_id, **{"name": "laptop"} | values))

    async def list_keys(self, user_id: str) -> list[pb.ApiKey]:
        return list((await self.stub.ListApiKeys(pb.ListApiKeysRequest(user_id=user_id))).api_keys)

    async def resolve(self, *secrets: str) -> pb.ResolveApiKeysResponse:
        return await self.stub.ResolveApiKeys(pb.ResolveApiKeysRequest(secrets=secrets))

    async def outcome(self, secret: str) -> str:
        answer = await self.resolve(secret)
        return pb.ResolveOutcome.Name(answer.resolved[0].outcome).removeprefix("RESOLVE_OUTCOME_")

    async def revocations(self, after: int = 0) -> list[pb.Revocation]:
        answer = await self.stub.ListRevocations(pb.ListRevocationsRequest(after_sequence=after))
        return list(answer.revocations)

    async def count(self, table: str) -> int:
        found: int = await self.admin.fetchval(f"SELECT count(*) FROM auth.{table}")
        return found


Start = Callable[..., AbstractAsyncContextManager[Auth]]


@pytest.fixture
def start(databases: Databases, redis_url: str) -> Start:
    """Starts auth; with `virtual_keys` it works with a fake LiteLLM proxy. `url` is a database of an earlier one."""

    @asynccontextmanager
    async def starting(
        *, virtual_keys: bool = False, url: str = "", app_secret: str = APP_SECRET, previous: str | None = None
    ) -> AsyncIterator[Auth]:
        url = url or await databases.fresh("auth")
        billing = FakeBilling()  # type: ignore[abstract]
        proxy, clock = FakeLiteLlm(), Time(NOW)
        async with (
            proxy.running(),
            server.running(
                listen="127.0.0.1:0",
                register=lambda started: add_BillingServiceServicer_to_server(billing, started),
                drain_s=0,
            ) as billing_target,
            built(
                AuthSettings.model_validate(
                    {
                        "auth_database_url": databases.url_for("auth", url),
                        "auth_listen": "unused",
                        "billing_addr": billing_target,
                        "redis_url": redis_url,
                        "app_secret_key": app_secret,
                        "app_secret_key_previous": previous,
                        "litellm_virtual_keys": virtual_keys,
                        "litellm_base_url": proxy.url,
                        "litellm_master_key": MASTER_KEY,
                        "litellm_master_key_next": NEXT_MASTER_KEY,
                    }
                ),
                clock=clock,
            ) as parts,
            server.running(
                listen="127.0.0.1:0",
                register=lambda started: add_AuthServiceServicer_to_server(AuthServicer(parts), started),
                drain_s=0,
            ) as target,
            client.channel(target, pb.DESCRIPTOR.services_by_name["AuthService"], timeout_s=30) as channel,
        ):
            admin, watcher = await databases.admin(url), await databases.admin(url)
            auth = Auth(AuthServiceStub(channel), admin, watcher, parts, clock, billing, proxy)
            yield auth
            await cancelled(auth.tasks)
            assert proxy.strays == []

    return starting


@pytest.fixture
async def auth(start: Start) -> AsyncIterator[Auth]:
    """Auth without virtual keys."""
    async with start() as running:
        yield running


@pytest.fixture
async def auth_with_proxy(start: Start) -> AsyncIterator[Auth]:
    """Auth that makes a virtual key with every API key."""
    async with start(virtual_keys=True) as running:
        yield running


async def refusal(call: Coroutine[Any, Any, Any] | Any) -> tuple[str, str, dict[str, str]]:
    """Code, reason and metadata of a refused call."""
    with pytest.raises(RemoteError) as refused:
        await call
    return refused.value.code.name, refused.value.reason, refused.value.metadata


async def someone_waits_for_a_lock(auth: Auth) -> bool:
    """Whether a statement of the service waits for a lock; asked outside transactions, which see one moment only."""
    waiting: bool = await auth.watcher.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'auth' AND wait_event_type = 'Lock')"
    )
    return waiting
