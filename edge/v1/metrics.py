"""What `/v1` counts for Prometheus."""

from prometheus_client import Counter, Histogram

from edge.money.records import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

REFUSED = Counter("privaterouter_refused_total", "Requests that we refused before an upstream saw them", ["code"])
ENDED = Counter("privaterouter_requests_total", "Requests that were forwarded, by how they ended", ["model", "status"])
LATENCY = Histogram("privaterouter_request_seconds", "From the request to its end", ["model"], buckets=_SECONDS)
FIRST_TOKEN = Histogram(
    "privaterouter_first_token_seconds", "From the request to its first token", ["model"], buckets=_SECONDS
)
TOKENS = Counter("privaterouter_tokens_total", "Tokens of ended requests", ["model", "direction"])
ESTIMATED = Counter("privaterouter_estimated_total", "Requests charged by our own count", ["upstream"])
UNCHARGED = Counter("privaterouter_uncharged_nanos_total", "Used, but not charged, in nano-dollars", ["status"])


def count_ended(record: Record) -> None:
    """Counts a request that is final."""
    model, status = record.model_public_name, record.status.name.lower()
    ENDED.labels(model, status).inc()
    LATENCY.labels(model).observe(record.latency_ms / 1000)
    if record.first_token_ms is not None:
        FIRST_TOKEN.labels(model).observe(record.first_token_ms / 1000)
    TOKENS.labels(model, "input").inc(record.input_tokens)
    TOKENS.labels(model, "output").inc(record.output_tokens)
    if record.estimated:
        ESTIMATED.labels(record.upstream_name).inc()
    if record.uncharged_nanos:
        UNCHARGED.labels(status).inc(record.uncharged_nanos)
