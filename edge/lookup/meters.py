"""Figures of what the edge remembers for `/metrics`, read from its state when Prometheus asks: free for requests."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import ApiKeys
from edge.lookup.catalogue import Catalogue


class LookupMeters(Collector):
    """Shows how often the caches knew the answer. Asked by another thread, which only reads."""

    def __init__(
        self, *, api_keys: ApiKeys, accounts: Accounts, catalogue: Catalogue, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._caches: dict[str, ApiKeys | Accounts] = {"api_keys": api_keys, "accounts": accounts}
        self._catalogue = catalogue
        self._registry = registry

    def show(self) -> None:
        """From now on."""
        self._registry.register(self)

    def hide(self) -> None:
        """No longer."""
        self._registry.unregister(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not reserved, so that two edges can stand in one process of a test."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        lookups = CounterMetricFamily(
            "edge_cache_lookups", "Look-ups, by whether the cache had the answer.", labels=["cache", "outcome"]
        )
        entries = GaugeMetricFamily("edge_cache_entries", "Entries of the cache.", labels=["cache"])
        for name, cache in self._caches.items():
            lookups.add_metric([name, "hit"], cache.hits)
            lookups.add_metric([name, "miss"], cache.misses)
            entries.add_metric([name], cache.entries)
        yield from (lookups, entries)
        refreshes = CounterMetricFamily(
            "edge_catalogue_refreshes", "Times that catalog was asked for a newer catalogue.", labels=["outcome"]
        )
        for outcome, number in self._catalogue.refreshes.items():
            refreshes.add_metric([outcome], number)
        yield refreshes
        yield GaugeMetricFamily(
            "edge_catalogue_version", "Version of the catalogue; 0 while there is none.", value=self._catalogue.version
        )
        yield GaugeMetricFamily(
            "edge_catalogue_silent_seconds", "Since catalog last answered.", value=self._catalogue.silent_s
        )
