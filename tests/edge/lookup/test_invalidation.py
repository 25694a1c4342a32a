"""How changes reach the edge: by the bus at once, by the polls without it."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import PREFIX, ApiKeys
from edge.lookup.catalogue import Catalogue
from edge.lookup.invalidation import Invalidation
from kit.bus import Bus
from kit.tokens import make_token
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tests.edge.lookup.world import FakeAuth, FakeCatalog, active_key
from tests.support.fake_money import FakeBilling
from tests.support.waiting import eventually

NOBODY = "redis://127.0.0.1:1/0"


@dataclass
class HeardMoney:
    recalled: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def recall(self, account_id: str) -> None:
        self.recalled.append(account_id)

    def forget_refusals(self, account_id: str) -> None:
        self.forgotten.append(account_id)


@dataclass
class Edge:
    api_keys: ApiKeys
    accounts: Accounts
    catalogue: Catalogue
    money: HeardMoney
    auth_stub: AuthServiceStub
    billing_stub: BillingServiceStub
    started: list[Invalidation] = field(default_factory=list)

    async def start(self, redis_url: str, *, poll_s: float) -> Bus:
        bus = await Bus.connect(redis_url)
        listening = Invalidation(
            bus,
            self.auth_stub,
            self.billing_stub,
            api_keys=self.api_keys,
            accounts=self.accounts,
            catalogue=self.catalogue,
            money=self.money,
            poll_s=poll_s,
            report_s=0.05,
        )
        await listening.start()
        self.started.append(listening)
        return bus

    async def has_polled(self) -> None:
        """Waits until we know where the lists of changes end."""
        listening = self.started[-1]
        await eventually(lambda: _is(min(listening._keys_at, listening._accounts_at) >= 0), what="the first polls")

    async def listens(self, redis_url: str) -> None:
        """Waits until the bus is heard."""
        await self.has_polled()
        async with Redis.from_url(redis_url) as redis:

            async def subscribed() -> bool:
                return all(count for _, count in await redis.pubsub_numsub("api_keys", "accounts", "catalog"))

            await eventually(subscribed, what="the subscription")

    async def knows(self, auth: FakeAuth, billing: FakeBilling, account_id: str) -> str:
        """The secret of a key of the account, resolved and remembered, as is the account's plan."""
        secret = make_token(PREFIX, os.urandom)
        auth.keys[secret] = active_key(account_id=account_id)
        billing.plans[account_id] = "free"
        await self.api_keys.resolve(secret)
        await self.accounts.plan_id(account_id)
        return secret


@pytest.fixture
async def edge(
    auth_stub: AuthServiceStub, billing_stub: BillingServiceStub, catalog_stub: CatalogServiceStub
) -> AsyncIterator[Edge]:
    made = Edge(
        ApiKeys(auth_stub),
        Accounts(billing_stub),
        Catalogue(catalog_stub),
        HeardMoney(),
        auth_stub,
        billing_stub,
    )
    yield made
    for listening in made.started:
        await listening.close()
        await listening._bus.close()
    await made.api_keys.close()
    await made.accounts.close()


async def test_hints_of_the_bus_are_heeded_without_a_poll(
    edge: Edge, auth: FakeAuth, billing: FakeBilling, catalog: FakeCatalog, redis_url: str
) -> None:
    bus = await edge.start(redis_url, poll_s=1_000.0)
    await edge.listens(redis_url)
    secret = await edge.knows(auth, billing, "user")

    await bus.publish("accounts", {"account_id": "user", "kind": "changed"})
    await eventually(lambda: _is(edge.accounts.cached("user") is None))
    assert edge.money.forgotten == ["user"]
    assert edge.api_keys.cached(secret)

    await bus.publish("api_keys", {"api_key_id": auth.keys[secret].api_key.id, "user_id": "user"})
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None))
    assert edge.money.forgotten == ["user", "user"]

    await bus.publish("accounts", {"account_id": "user", "kind": "recall"})
    await eventually(lambda: _is(edge.money.recalled == ["user"]))

    catalog.answer = catalog_pb2.GetCatalogResponse(version=3)
    await bus.publish("catalog", {"version": "3"})
    await eventually(lambda: _is(edge.catalogue.current().version == 3))


async def test_without_the_bus_the_polls_bring_every_change(
    edge: Edge, auth: FakeAuth, billing: FakeBilling, catalog: FakeCatalog
) -> None:
    await edge.start(NOBODY, poll_s=0.05)
    await edge.has_polled()
    secret = await edge.knows(auth, billing, "user")
    kept = await edge.knows(auth, billing, "other")
    auth.revocations.append(("", "user"))
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None))
    billing.changes.append("user")
    await eventually(lambda: _is(edge.accounts.cached("user") is None))
    catalog.answer = catalog_pb2.GetCatalogResponse(version=3)
    await eventually(lambda: _is(edge.catalogue.current().version == 3))
    assert edge.api_keys.cached(kept)
    assert edge.accounts.cached("other") == "free"
    assert edge.money.forgotten == ["user", "user"]


async def test_more_changes_than_one_answer_holds_are_all_seen(
    edge: Edge, auth: FakeAuth, billing: FakeBilling
) -> None:
    await edge.start(NOBODY, poll_s=0.05)
    await edge.has_polled()
    secret = await edge.knows(auth, billing, "user")
    auth.revocations += [("some key", "somebody")] * 2_499 + [(auth.keys[secret].api_key.id, "user")]
    billing.changes += ["somebody"] * 2_499 + ["user"]
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None and edge.accounts.cached("user") is None))
    assert edge.money.forgotten.count("somebody") == 2 * 2_499


async def test_what_was_remembered_before_the_first_poll_is_forgotten_by_it(
    edge: Edge, auth: FakeAuth, billing: FakeBilling
) -> None:
    secret = await edge.knows(auth, billing, "user")
    await edge.start(NOBODY, poll_s=1_000.0)
    await edge.has_polled()
    assert edge.api_keys.cached(secret) is None
    assert edge.accounts.cached("user") is None


async def test_polls_go_on_when_a_service_was_away(edge: Edge, auth: FakeAuth, billing: FakeBilling) -> None:
    auth.away = billing.faults.away = True
    await edge.start(NOBODY, poll_s=0.02)
    auth.away = billing.faults.away = False
    await edge.has_polled()
    secret = await edge.knows(auth, billing, "user")
    auth.revocations.append((auth.keys[secret].api_key.id, "user"))
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None))


async def test_a_list_that_began_anew_is_followed_from_its_new_end(
    edge: Edge, auth: FakeAuth, billing: FakeBilling
) -> None:
    auth.revocations = [("old", "old")] * 5
    await edge.start(NOBODY, poll_s=0.02)
    await edge.has_polled()
    secret = await edge.knows(auth, billing, "user")
    auth.revocations = []  # a database was restored from a backup
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None))
    await edge.api_keys.resolve(secret)
    auth.revocations.append((auth.keys[secret].api_key.id, "user"))
    await eventually(lambda: _is(edge.api_keys.cached(secret) is None))


async def test_uses_are_reported_from_time_to_time(edge: Edge, auth: FakeAuth, billing: FakeBilling) -> None:
    await edge.start(NOBODY, poll_s=0.05)
    secret = await edge.knows(auth, billing, "user")
    edge.api_keys.note_use(await edge.api_keys.resolve(secret))
    await eventually(lambda: _is([*map(list, auth.uses)] == [[auth.keys[secret].api_key.id]]))


async def _is(value: bool) -> bool:
    return value
