"""What `/v1` counts for Prometheus: by model and status, never by user or key."""

from typing import Final

from prometheus_client import Counter, Histogram

from edge.errors import TABLE
from edge.money.records import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

REFUSED = Counter("privaterouter_refused_total", "Requests that we refused before an upstream saw them.", ["code"])
ENDED = Counter("privaterouter_requests_total", "Requests that were forwarded, by how they ended.", ["model", "status"])
FAILED = Counter("privaterouter_failed_total", "Forwarded requests that ended with an error, by its code.", ["code"])
LATENCY = Histogram(
    "privaterouter_request_seconds", "From the request to its end.", ["model", "status"], buckets=_SECONDS
)
FIRST_TOKEN = Histogram(
    "privaterouter_first_token_seconds", "From the request to its first token.", ["model", "status"], buckets=_SECONDS
)
TOKENS = Counter("privaterouter_tokens_total", "Tokens of ended requests.", ["model", "status", "direction"])
CHARGED = Counter("privaterouter_charged_nanos_total", "Charged, in nano-dollars.", ["model", "status"])
UNCHARGED = Counter("privaterouter_uncharged_nanos_total", "Used, but not charged, in nano-dollars.", ["status"])
ESTIMATED = Counter("privaterouter_estimated_total", "Requests charged by our own count.", ["upstream"])


class _Series:
    """The counters of one model and status, looked up once: each look-up costs as much as a count."""

    __slots__ = ("charged", "ended", "first_token", "input", "latency", "output")

    def __init__(self, model: str, status: str) -> None:
        self.ended = ENDED.labels(model, status)
        self.latency = LATENCY.labels(model, status)
        self.first_token = FIRST_TOKEN.labels(model, status)
        self.input = TOKENS.labels(model, status, "input")
        self.output = TOKENS.labels(model, status, "output")
        self.charged = CHARGED.labels(model, status)


_series: Final[dict[tuple[str, int], _Series]] = {}
"""As many as the catalogue has models, times the ways to end."""


def count_ended(record: Record) -> None:
    """Counts a request that is final."""
    model, status = record.model_public_name, record.status
    series = _series.get((model, status))
    if series is None:
        series = _series[model, status] = _Series(model, status.name.lower())
    series.ended.inc()
    series.latency.observe(record.latency_ms / 1000)
    if record.first_token_ms is not None:
        series.first_token.observe(record.first_token_ms / 1000)
    series.input.inc(record.input_tokens)
    series.output.inc(record.output_tokens)
    series.charged.inc(record.cost_nanos)
    if record.error_code:
        # An upstream's own code is passed on to the client, and may be any word.
        FAILED.labels(record.error_code if record.error_code in TABLE else "other").inc()
    if record.estimated:
        ESTIMATED.labels(record.upstream_name).inc()
    if record.uncharged_nanos:
        UNCHARGED.labels(status.name.lower()).inc(record.uncharged_nanos)
