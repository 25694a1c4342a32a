"""What a usage record is, and which records make no sense."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from kit.errors import InvalidArgument
from kit.ids import parse_uuid
from kit.money import NANOS_PER_USD
from kit.timestamps import from_proto, to_proto
from privaterouter.usage.v1 import usage_pb2 as pb

Status = Literal["open", "success", "error", "cancelled", "interrupted"]

STATUSES: dict[pb.UsageStatus.ValueType, Status] = {
    pb.USAGE_STATUS_OPEN: "open",
    pb.USAGE_STATUS_SUCCESS: "success",
    pb.USAGE_STATUS_ERROR: "error",
    pb.USAGE_STATUS_CANCELLED: "cancelled",
    pb.USAGE_STATUS_INTERRUPTED: "interrupted",
}
_NUMBERS = {status: number for number, status in STATUSES.items()}

# One request far beyond any real one; below it, no sum over a day or a month can leave int64.
MOST_TOKENS = 10**12
MOST_NANOS = 1_000_000 * NANOS_PER_USD
_INT64 = 2**63 - 1
_HIGHEST = {
    "input_tokens": MOST_TOKENS,
    "cached_input_tokens": MOST_TOKENS,
    "cache_write_input_tokens": MOST_TOKENS,
    "output_tokens": MOST_TOKENS,
    "reasoning_tokens": MOST_TOKENS,
    "input_nanos_per_mtok": _INT64,
    "cached_input_nanos_per_mtok": _INT64,
    "cache_write_input_nanos_per_mtok": _INT64,
    "output_nanos_per_mtok": _INT64,
    "cost_nanos": MOST_NANOS,
    "uncharged_nanos": _INT64,
    "held_nanos": MOST_NANOS,
    "latency_ms": _INT64,
    "first_token_ms": _INT64,
    "http_status": 999,
}
_LONGEST_NAME = 200
MOST_ATTEMPTS = 20
# From 2000 to 2200: what Python, Postgres and people can all read.
_EARLIEST_S, _LATEST_S = 946_684_800, 7_258_118_400


class Attempt(NamedTuple):
    """One try to have a request served, as the contract has it; status 0: no answer, no error code: it did not fail."""

    upstream_name: str
    upstream_model: str
    http_status: int
    error_code: str
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request's usage, as stored: UsageRecord of the contract with Python's types.

    Two records are equal when they tell the same, whatever usage itself has noted on them.
    """

    request_id: UUID
    worker_id: UUID
    lease_id: UUID | None
    account_id: UUID
    api_key_id: UUID
    model_public_name: str
    served_model_public_name: str
    """The model that answered in its place, "" where it did itself."""
    upstream_name: str
    upstream_model: str
    endpoint: str
    status: Status
    input_tokens: int
    cached_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    price_version_id: UUID | None
    input_nanos_per_mtok: int
    cached_input_nanos_per_mtok: int
    cache_write_input_nanos_per_mtok: int
    output_nanos_per_mtok: int
    cost_nanos: int
    uncharged_nanos: int
    held_nanos: int
    estimated: bool
    streamed: bool
    start_time: datetime
    latency_ms: int
    first_token_ms: int | None
    http_status: int
    error_code: str
    finish_reason: str
    attempts: tuple[Attempt, ...]
    """In order, the last one served it; none: one attempt, without a failure."""
    record_time: datetime | None = field(default=None, compare=False)
    """When usage first had a final, also after a revision, so that all charges of a request bear one time."""
    revision: int = field(default=0, compare=False)
    """0 while open, then 1, and 2 after the edge's own final replaced a presumed one."""
    presumed: bool = field(default=False, compare=False)
    """Whether usage ended it for a lost worker, so that the edge's own final may still replace it."""


class NonsenseError(Exception):
    """A record that is refused whatever is known; the text says why."""


def parse(message: pb.UsageRecord, worker_id: UUID) -> Record:
    """The reported record; NonsenseError names the first thing that is wrong with it."""
    try:
        return _parse(message, worker_id)
    except InvalidArgument as error:
        raise NonsenseError(error.message) from error


def _parse(message: pb.UsageRecord, worker_id: UUID) -> Record:
    status = STATUSES.get(message.status)
    if status is None:
        raise NonsenseError(f"status {message.status} is none")
    _check_numbers(message)
    if message.status == pb.USAGE_STATUS_ERROR and message.cost_nanos:
        raise NonsenseError("an error is never charged")
    if message.cost_nanos and not message.price_version_id:
        raise NonsenseError("a cost without a price version")
    if parse_uuid(message.worker_id, "worker_id") != worker_id:
        raise NonsenseError("worker_id is not the worker of the call")
    return Record(
        request_id=_request_id(message.request_id),
        worker_id=worker_id,
        lease_id=_optional_uuid(message.lease_id, "lease_id"),
        account_id=parse_uuid(message.account_id, "account_id"),
        api_key_id=parse_uuid(message.api_key_id, "api_key_id"),
        model_public_name=_name(message.model_public_name, "model_public_name"),
        served_model_public_name=_served_model(message),
        upstream_name=_text(message.upstream_name),
        upstream_model=_text(message.upstream_model),
        endpoint=_name(message.endpoint, "endpoint"),
        status=status,
        input_tokens=message.input_tokens,
        cached_input_tokens=message.cached_input_tokens,
        cache_write_input_tokens=message.cache_write_input_tokens,
        output_tokens=message.output_tokens,
        reasoning_tokens=message.reasoning_tokens,
        price_version_id=_optional_uuid(message.price_version_id, "price_version_id"),
        input_nanos_per_mtok=message.input_nanos_per_mtok,
        cached_input_nanos_per_mtok=message.cached_input_nanos_per_mtok,
        cache_write_input_nanos_per_mtok=message.cache_write_input_nanos_per_mtok,
        output_nanos_per_mtok=message.output_nanos_per_mtok,
        cost_nanos=message.cost_nanos,
        uncharged_nanos=message.uncharged_nanos,
        held_nanos=message.held_nanos,
        estimated=message.estimated,
        streamed=message.streamed,
        start_time=_start_time(message),
        latency_ms=message.latency_ms,
        first_token_ms=message.first_token_ms if message.HasField("first_token_ms") else None,
        http_status=message.http_status,
        error_code=_text(message.error_code),
        finish_reason=_text(message.finish_reason),
        attempts=_attempts(message.attempts),
    )


def _check_numbers(message: pb.UsageRecord) -> None:
    for name, highest in _HIGHEST.items():
        number: int = getattr(message, name)
        if not 0 <= number <= highest:
            raise NonsenseError(f"{name} is {number}")
    for part, whole in (
        ("cached_input_tokens", "input_tokens"),
        ("reasoning_tokens", "output_tokens"),
        ("cost_nanos", "held_nanos"),
    ):
        if getattr(message, part) > getattr(message, whole):
            raise NonsenseError(f"{part} is more than {whole}")
    if message.cached_input_tokens + message.cache_write_input_tokens > message.input_tokens:
        raise NonsenseError("cached_input_tokens and cache_write_input_tokens are more than input_tokens")


def _served_model(message: pb.UsageRecord) -> str:
    served = message.served_model_public_name
    if served in ("", message.model_public_name):
        return ""
    return _name(served, "served_model_public_name")


def _attempts(messages: Sequence[pb.Attempt]) -> tuple[Attempt, ...]:
    """The last MOST_ATTEMPTS, among them the one that served; all of them must make sense."""
    for name, highest in (("http_status", 999), ("duration_ms", _INT64)):
        for message in messages:
            number: int = getattr(message, name)
            if not 0 <= number <= highest:
                raise NonsenseError(f"attempts.{name} is {number}")
    return tuple(
        Attempt(
            upstream_name=_text(message.upstream_name),
            upstream_model=_text(message.upstream_model),
            http_status=message.http_status,
            error_code=_text(message.error_code),
            duration_ms=message.duration_ms,
        )
        for message in messages[-MOST_ATTEMPTS:]
    )


def _request_id(text: str) -> UUID:
    request_id = parse_uuid(text, "request_id")
    if request_id.version != 7:
        raise NonsenseError("request_id is not a UUIDv7")
    return request_id


def _optional_uuid(text: str, name: str) -> UUID | None:
    return parse_uuid(text, name) if text else None


def _name(text: str, name: str) -> str:
    if not text or text != _text(text):
        raise NonsenseError(f"{name} is missing or no name")
    return text


def _text(text: str) -> str:
    """What upstreams say, cut to a length, and without the one character that Postgres cannot store.

    That is no reason to refuse a record that costs money.
    """
    return text.replace("\0", "")[:_LONGEST_NAME]


def _start_time(message: pb.UsageRecord) -> datetime:
    time = message.start_time
    if not (_EARLIEST_S <= time.seconds < _LATEST_S and 0 <= time.nanos < 1_000_000_000):
        raise NonsenseError("start_time is missing or absurd")
    return from_proto(time)


def to_message(record: Record) -> pb.UsageRecord:
    """The record as the contract shows it."""
    message = pb.UsageRecord(
        request_id=str(record.request_id),
        worker_id=str(record.worker_id),
        lease_id=str(record.lease_id or ""),
        account_id=str(record.account_id),
        api_key_id=str(record.api_key_id),
        model_public_name=record.model_public_name,
        served_model_public_name=record.served_model_public_name,
        upstream_name=record.upstream_name,
        upstream_model=record.upstream_model,
        endpoint=record.endpoint,
        status=_NUMBERS[record.status],
        input_tokens=record.input_tokens,
        cached_input_tokens=record.cached_input_tokens,
        cache_write_input_tokens=record.cache_write_input_tokens,
        output_tokens=record.output_tokens,
        reasoning_tokens=record.reasoning_tokens,
        price_version_id=str(record.price_version_id or ""),
        input_nanos_per_mtok=record.input_nanos_per_mtok,
        cached_input_nanos_per_mtok=record.cached_input_nanos_per_mtok,
        cache_write_input_nanos_per_mtok=record.cache_write_input_nanos_per_mtok,
        output_nanos_per_mtok=record.output_nanos_per_mtok,
        cost_nanos=record.cost_nanos,
        uncharged_nanos=record.uncharged_nanos,
        held_nanos=record.held_nanos,
        estimated=record.estimated,
        streamed=record.streamed,
        start_time=to_proto(record.start_time),
        latency_ms=record.latency_ms,
        first_token_ms=record.first_token_ms,
        http_status=record.http_status,
        error_code=record.error_code,
        finish_reason=record.finish_reason,
        attempts=[pb.Attempt(**attempt._asdict()) for attempt in record.attempts],
        revision=record.revision,
    )
    if record.record_time:
        message.record_time.CopyFrom(to_proto(record.record_time))
    return message
