"""What Prometheus sees of the caches."""

import os
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from edge.errors import EdgeError
from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import PREFIX, ApiKeys
from edge.lookup.catalogue import Catalogue
from edge.lookup.meters import LookupMeters
from kit.tokens import make_token
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tests.edge.lookup.world import Clock, FakeAuth, FakeCatalog, active_key


@dataclass
class Shown:
    """The caches, and what is shown of them."""

    api_keys: ApiKeys
    catalogue: Catalogue
    registry: CollectorRegistry
    meters: LookupMeters

    def lookups(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("edge_cache_lookups_total", {"cache": "api_keys", "outcome": outcome})


@pytest.fixture
def shown(
    auth_stub: AuthServiceStub, billing_stub: BillingServiceStub, catalog_stub: CatalogServiceStub, clock: Clock
) -> Shown:
    registry = CollectorRegistry()
    api_keys, catalogue = ApiKeys(auth_stub, clock=clock), Catalogue(catalog_stub, clock=clock)
    accounts = Accounts(billing_stub, clock=clock)
    meters = LookupMeters(api_keys=api_keys, accounts=accounts, catalogue=catalogue, registry=registry)
    meters.show()
    return Shown(api_keys, catalogue, registry, meters)


async def test_hits_and_misses_are_told_apart(auth: FakeAuth, shown: Shown) -> None:
    api_keys, lookups = shown.api_keys, shown.lookups
    secret = make_token(PREFIX, os.urandom)
    auth.keys[secret] = active_key()
    assert (lookups("hit"), lookups("miss")) == (0, 0)
    assert api_keys.cached(secret) is None
    await api_keys.resolve(secret)
    assert (lookups("hit"), lookups("miss")) == (0, 1), "one request, one look-up"
    assert api_keys.cached(secret)
    with pytest.raises(EdgeError):
        await api_keys.resolve("nonsense")
    assert (lookups("hit"), lookups("miss")) == (1, 1)
    unknown = make_token(PREFIX, os.urandom)
    for _ in range(2):
        with pytest.raises(EdgeError):
            await api_keys.resolve(unknown)
    assert (lookups("hit"), lookups("miss")) == (2, 2), "that a key is unknown is remembered, too"
    assert shown.registry.get_sample_value("edge_cache_entries", {"cache": "api_keys"}) == 2
    shown.meters.hide()
    assert list(shown.registry.collect()) == []


async def test_the_age_of_the_catalogue_is_told(catalog: FakeCatalog, clock: Clock, shown: Shown) -> None:
    catalogue, registry = shown.catalogue, shown.registry
    clock.now_s += 7
    assert registry.get_sample_value("edge_catalogue_silent_seconds") == 7
    await catalogue.refresh()
    await catalogue.refresh()
    catalog.away = True
    clock.now_s += 3
    await catalogue.refresh()
    assert registry.get_sample_value("edge_catalogue_silent_seconds") == 3
    assert {
        outcome: registry.get_sample_value("edge_catalogue_refreshes_total", {"outcome": outcome})
        for outcome in ("changed", "unchanged", "failed")
    } == {"changed": 1, "unchanged": 1, "failed": 1}
    assert registry.get_sample_value("edge_catalogue_version") == catalogue.version > 0
