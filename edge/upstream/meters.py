"""Figures of upstreams for `/metrics`, read from their state when Prometheus asks.

So they cost requests nothing, and those of an upstream vanish with it.
"""

from collections.abc import Callable, Collection, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.upstream.members import Member


class Meters(Collector):
    """Shows what `members` gives, and counts retries. Asked by another thread, which only reads."""

    def __init__(self, members: Callable[[], Collection[Member]], registry: CollectorRegistry) -> None:
        self._members = members
        self._registry = registry
        self._retries = 0
        self._refused_retries = 0

    def show(self) -> None:
        """From now on."""
        self._registry.register(self)

    def hide(self) -> None:
        """No longer."""
        self._registry.unregister(self)

    def count_retry(self, *, granted: bool) -> None:
        """Somebody wanted to send a request once more."""
        if granted:
            self._retries += 1
        else:
            self._refused_retries += 1

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not reserved, so that two edges can stand in one process of a test."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        in_flight = GaugeMetricFamily("edge_upstream_in_flight", "Requests that run there.", labels=["upstream"])
        queued = GaugeMetricFamily("edge_upstream_queued", "Requests that wait for a slot there.", labels=["upstream"])
        ejected = GaugeMetricFamily("edge_upstream_ejected", "1 from an ejection to a success.", labels=["upstream"])
        ejections = CounterMetricFamily("edge_upstream_ejections", "How often it was ejected.", labels=["upstream"])
        suspect = GaugeMetricFamily("edge_upstream_suspect", "1 while it answers no probes.", labels=["upstream"])
        requests = CounterMetricFamily(
            "edge_upstream_requests", "Tries that have ended, by what they said of it.", labels=["upstream", "outcome"]
        )
        latency = GaugeMetricFamily(
            "edge_upstream_first_byte_seconds", "How long its latest answer took to begin.", labels=["upstream"]
        )
        probes = CounterMetricFamily("edge_upstream_probes", "Probes, by result.", labels=["upstream", "result"])
        for member in tuple(self._members()):
            name = member.upstream.name
            in_flight.add_metric([name], member.slots.in_flight)
            queued.add_metric([name], member.slots.queued)
            ejected.add_metric([name], member.ejected_until_s is not None)
            ejections.add_metric([name], member.ejected_total)
            suspect.add_metric([name], member.is_suspect)
            for outcome, number in tuple(member.outcomes.items()):
                requests.add_metric([name, outcome], number)
            if member.latency_s is not None:
                latency.add_metric([name], member.latency_s)
            probes.add_metric([name, "ok"], member.probes_total - member.failed_probes_total)
            probes.add_metric([name, "failed"], member.failed_probes_total)
        yield from (in_flight, queued, ejected, ejections, suspect, requests, latency, probes)
        retries = CounterMetricFamily("edge_upstream_retries", "Requests sent once more.", value=self._retries)
        refused = CounterMetricFamily(
            "edge_upstream_retries_refused", "Those that were not, as too many were.", value=self._refused_retries
        )
        yield from (retries, refused)
