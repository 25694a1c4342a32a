"""Usage as CSV, a page at a time, so that its length costs no memory."""

from collections.abc import AsyncIterator

from edge.api.csv_text import FIRST, NEWEST, csv_text
from kit.money import format_usd
from kit.timestamps import from_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

PAGE = 1_000
HEADER = (
    "id",
    "created_at",
    "model_public_name",
    "api_key_id",
    "endpoint",
    "status",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
    "uncharged_usd",
    "latency_ms",
    "error_code",
    "finish_reason",
    # At the end, so that the columns before it stay where spreadsheets expect them.
    "cache_write_input_tokens",
    "served_model_public_name",
)


async def lines(usage: UsageServiceStub, account_id: str, *, matching: pb.UsageFilter) -> AsyncIterator[str]:
    """The header with the first page, then the other pages. Raises RemoteError."""
    before, limit = NEWEST, min(FIRST, PAGE)
    header: tuple[str, ...] | None = HEADER
    while True:
        request = pb.ListUsageRequest(account_id=account_id, filter=matching, limit=limit, before_request_id=before)
        records = (await usage.ListUsage(request)).records
        yield csv_text(header, map(_row, records))
        if len(records) < limit:
            return
        before, limit, header = records[-1].request_id, PAGE, None


def _row(record: pb.UsageRecord) -> tuple[object, ...]:
    return (
        record.request_id,
        from_proto(record.start_time).isoformat().replace("+00:00", "Z"),
        record.model_public_name,
        record.api_key_id,
        record.endpoint,
        pb.UsageStatus.Name(record.status).removeprefix("USAGE_STATUS_").lower(),
        record.input_tokens,
        record.cached_input_tokens,
        record.output_tokens,
        record.reasoning_tokens,
        format_usd(record.cost_nanos),
        format_usd(record.uncharged_nanos),
        record.latency_ms,
        record.error_code,
        record.finish_reason,
        record.cache_write_input_tokens,
        record.served_model_public_name,
    )
