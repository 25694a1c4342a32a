"""The usage record of one request, as the edge keeps it while the request runs."""

from enum import IntEnum

import msgspec

from edge.lookup.catalogue import Price
from kit.logs import get_logger
from privaterouter.usage.v1.usage_pb2 import UsageRecord

_NANOS = 1_000_000_000

log = get_logger()


class Status(IntEnum):
    """How a request stands or ended; the numbers are those of `usage.v1.UsageStatus`."""

    OPEN = 1
    SUCCESS = 2
    ERROR = 3
    CANCELLED = 4
    INTERRUPTED = 5


class Attempt(msgspec.Struct, frozen=True):
    """One try to have a request served; the fields of `usage.v1.Attempt`."""

    upstream_name: str
    upstream_model: str
    http_status: int = 0
    """0: it did not answer."""
    error_code: str = ""
    """Empty: it did not fail."""
    duration_ms: int = 0
    """To its failure, or to the head of the answer."""


class Record(msgspec.Struct):
    """The fields of `usage.v1.UsageRecord` that an edge fills in; tokens and nano-dollars are ints.

    Tokens and cost are brought up to date for each report, every second, and at the end.
    `worker_id`, `lease_id` and `held_nanos` are filled in by MoneyPath.
    """

    request_id: str
    account_id: str
    api_key_id: str
    start_time_ns: int
    """Nanoseconds since 1970."""
    model_public_name: str = ""
    endpoint: str = ""
    price_version_id: str = ""
    input_nanos_per_mtok: int = 0
    cached_input_nanos_per_mtok: int = 0
    cache_write_input_nanos_per_mtok: int = 0
    output_nanos_per_mtok: int = 0
    upstream_name: str = ""
    upstream_model: str = ""
    status: Status = Status.OPEN
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    uncharged_nanos: int = 0
    estimated: bool = False
    streamed: bool = False
    latency_ms: int = 0
    first_token_ms: int | None = None
    http_status: int = 0
    error_code: str = ""
    finish_reason: str = ""
    worker_id: str = ""
    lease_id: str = ""
    held_nanos: int = 0
    served_model_public_name: str = ""
    """The model that answered in the place of `model_public_name`. Empty: the same."""
    attempts: tuple[Attempt, ...] = ()
    """In order; the last one served it. Empty: one attempt, without a failure."""

    def take_price(self, price: Price) -> None:
        """The price that it is charged at."""
        self.price_version_id = price.version_id
        self.input_nanos_per_mtok = price.input_nanos_per_mtok
        self.cached_input_nanos_per_mtok = price.cached_input_nanos_per_mtok
        self.cache_write_input_nanos_per_mtok = price.cache_write_input_nanos_per_mtok
        self.output_nanos_per_mtok = price.output_nanos_per_mtok

    def to_proto(self) -> UsageRecord:
        """The message for usage."""
        message = UsageRecord(**{name: value for name in _SAME if (value := getattr(self, name))})
        message.start_time.seconds, message.start_time.nanos = divmod(self.start_time_ns, _NANOS)
        if self.first_token_ms is not None:
            message.first_token_ms = self.first_token_ms
        for attempt in self.attempts:
            message.attempts.add(**msgspec.structs.asdict(attempt))
        return message

    def to_bytes(self) -> bytes:
        """The message as it stands in the journal. Never fails: what a message cannot hold is left out, and logged."""
        try:
            return self.to_proto().SerializeToString()
        except (TypeError, ValueError):
            log.exception("record_out_of_range", request_id=self.request_id)
            kept = {name: getattr(self, name) for name in _ESSENTIAL}
            return Record(**kept).to_proto().SerializeToString()


_SAME = tuple(name for name in Record.__struct_fields__ if name not in {"start_time_ns", "first_token_ms", "attempts"})
"""Fields that the message has under the same name and with the same value."""
_ESSENTIAL = (
    "request_id",
    "account_id",
    "api_key_id",
    "start_time_ns",
    "model_public_name",
    "endpoint",
    "price_version_id",
    "status",
    "cost_nanos",
    "worker_id",
    "lease_id",
    "held_nanos",
)
"""What MoneyPath has bounded or the edge itself has made."""
