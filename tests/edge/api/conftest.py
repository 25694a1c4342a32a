"""The application in front of real services, asked over ASGI by people who have signed up for the test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from edge.api.tokens import Tokens
from edge.app import Edge
from edge.clients import Clients
from edge.dashboard import Dashboard
from edge.deps import Deps
from edge.limits.buckets import Buckets
from edge.limits.throttle import Throttle
from edge.lookup.catalogue import Catalogue, Upstream
from edge.settings import EdgeSettings
from edge.upstream.fleet import Fleet
from kit.ids import IdFactory
from privaterouter.auth.v1 import auth_pb2
from tests.support.services import RunningServices
from tests.support.waiting import eventually

PASSWORD = "correct-horse-battery-staple"
BASE = "http://localhost:3000"
_numbers = count(1)


@dataclass
class Person:
    """Somebody with a client of their own; `user` and `token` are from their sign-up."""

    http: httpx.AsyncClient
    user: dict[str, Any]
    token: str

    @property
    def id(self) -> str:
        found: str = self.user["id"]
        return found


class Time:
    """The machine's clock, which a test may move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Application:
    """The application and what it is made of."""

    edge: Edge
    deps: Deps
    time: Time
    fit: dict[str, bool]

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client without cookies, from an address of its own."""
        address = f"192.0.2.{next(_numbers) % 250}"
        transport = httpx.ASGITransport(self.edge, raise_app_exceptions=False, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            yield client

    @asynccontextmanager
    async def person(self, *, role: str = "user", open_account: bool = True) -> AsyncIterator[Person]:
        """Somebody new, who sends the bearer token and no cookie."""
        email = f"person-{next(_numbers)}-{self.deps.ids()}@example.com"
        async with self.client() as client:
            answer = await client.post("/api/auth/signup", json={"email": email, "password": PASSWORD, "name": "P"})
            assert answer.status_code == 201, answer.text
            client.cookies.clear()
            user, token = answer.json()["user"], answer.json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
            if role == "admin":
                change = auth_pb2.User(id=user["id"], role=auth_pb2.USER_ROLE_ADMIN)
                request = auth_pb2.UpdateUserRequest(user=change, update_mask=FieldMask(paths=["role"]))
                await self.deps.clients.auth.UpdateUser(request)
            if open_account:

                async def opened() -> bool:
                    return (await client.get("/api/billing/balance")).status_code == 200

                await eventually(opened, what="the account")
            yield Person(client, user, token)


async def no_probe(_: Upstream) -> bool:
    """Never asked: the fleet of these tests is not started."""
    raise NotImplementedError


@asynccontextmanager
async def application(environment: dict[str, str]) -> AsyncIterator[Application]:
    """The `/api` half of the edge, with these variables as its settings."""
    settings = EdgeSettings.model_validate({name.lower(): value for name, value in environment.items()})
    time, fit = Time(), {"catalogue": True, "journal": True}

    async def is_fit() -> dict[str, bool]:
        return fit

    async with AsyncExitStack() as stack:
        clients = Clients.connect(settings)
        stack.push_async_callback(clients.close)
        buckets = Buckets(settings.redis_url)
        stack.push_async_callback(buckets.close)
        catalogue = Catalogue(clients.catalog)
        await catalogue.refresh()
        deps = Deps(
            settings=settings,
            clients=clients,
            catalogue=catalogue,
            throttle=Throttle(buckets),
            tokens=Tokens(settings.jwt_secret.get_secret_value(), clock=time),
            ids=IdFactory(),
            clock=time,
            is_fit=is_fit,
            fleet=Fleet(catalogue.current, no_probe, random=lambda: 0.0),
        )
        yield Application(Edge(deps, raw={}, v1=[], pages=Dashboard({})), deps, time, fit)


@pytest.fixture
async def app(services: RunningServices, redis_url: str) -> AsyncIterator[Application]:
    """The application; every test has fresh rate limits."""
    async with application(services.environment) as made:
        yield made


@pytest.fixture
async def alice(app: Application) -> AsyncIterator[Person]:
    """A user."""
    async with app.person() as person:
        yield person


@pytest.fixture
async def bob(app: Application) -> AsyncIterator[Person]:
    """Another user."""
    async with app.person() as person:
        yield person


@pytest.fixture
async def admin(app: Application) -> AsyncIterator[Person]:
    """An admin."""
    async with app.person(role="admin") as person:
        yield person


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param of a failure, whose shape is checked."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert answer.headers["x-request-id"]
    return answer.status_code, body["error"]["code"], body["error"]["param"]
