"""What the end of an exchange costs: the table of what is charged, in code.

finished, or ended by us at the limit       success      the upstream's usage, else our count
client left                                 cancelled    the usage if it has come, else prompt and tokens delivered
upstream failed, or we are stopping         error        nothing; what it would have cost is noted
"""

import msgspec
from msgspec.structs import replace

from edge.errors import EdgeError
from edge.lookup.catalogue import Price
from edge.money.records import Record, Status
from edge.v1.answers import Counter
from edge.v1.bounds import Bounds
from edge.v1.exchange import Exchange
from edge.v1.usage import Usage, read_usage
from kit.money import MAX_NANOS, TOKENS_PER_MTOK

CLIENT_CLOSED: int = 499
"""The status noted for a client that left: nginx's, since HTTP has none."""


class Ending(msgspec.Struct, frozen=True):
    """How an exchange ended, and what is still to be sent: the body, the stream's last piece, or the error."""

    status: Status
    last: bytes = b""
    error: EdgeError | None = None
    said: bool = False
    """Whether the upstream itself said in the stream that it is over."""


def price_of(usage: Usage, price: Price) -> int:
    """Nano-dollars for a usage at a price, rounded up once; numbers beyond int64 cost the highest that fits."""
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_input_tokens
    total = (
        fresh * price.input_nanos_per_mtok
        + usage.cached_input_tokens * price.cached_input_nanos_per_mtok
        + usage.cache_write_input_tokens * price.cache_write_input_nanos_per_mtok
        + usage.output_tokens * price.output_nanos_per_mtok
    )
    return min(MAX_NANOS, -(-total // TOKENS_PER_MTOK))


def our_count(counter: Counter, bounds: Bounds) -> Usage:
    """The usage by our own count: nothing before the first token."""
    output = counter.output_tokens
    return Usage(bounds.prompt_estimate if output else 0, output, estimated=True)


def note_progress(exchange: Exchange) -> None:
    """Brings an open record's tokens and cost up to date: what is charged if this process dies now."""
    if exchange.outgoing is not None and exchange.record.status is Status.OPEN:
        _note(exchange.record, our_count(exchange.counter, exchange.outgoing.bounds), exchange.outgoing.model.price)


def note_ending(exchange: Exchange, ending: Ending, *, now_s: float) -> Usage:
    """Makes the record final; what was used."""
    record = exchange.record
    usage = _used(exchange, ending.status)
    if exchange.outgoing is not None:
        _note(record, usage, exchange.outgoing.model.price)
    record.status = ending.status
    record.latency_ms = max(0, round((now_s - exchange.started_s) * 1000))
    if exchange.first_token_s is not None:
        record.first_token_ms = max(0, round((exchange.first_token_s - exchange.started_s) * 1000))
    record.http_status = CLIENT_CLOSED if ending.status is Status.CANCELLED else 200
    if ending.error is not None:
        record.http_status = 200 if exchange.reply.started else ending.error.status
        record.error_code = ending.error.kept_code
    if ending.status is Status.ERROR:
        record.uncharged_nanos, record.cost_nanos = record.cost_nanos, 0
    return usage


def _used(exchange: Exchange, status: Status) -> Usage:
    delivered = exchange.counter.output_tokens
    said = exchange.usage and read_usage(exchange.usage, text_delivered=delivered > 0)
    if said and exchange.counter.is_more_than(said.output_tokens):
        # What it says of the prompt, which all answers share, is right all the same.
        return replace(said, output_tokens=delivered, estimated=True)
    if said:
        return said
    if exchange.outgoing is None or not exchange.forwarded or (status is Status.ERROR and not delivered):
        return Usage(0, 0)
    return Usage(exchange.outgoing.bounds.prompt_estimate, delivered, estimated=True)


def _note(record: Record, usage: Usage, price: Price) -> None:
    record.input_tokens = usage.input_tokens
    record.cached_input_tokens = usage.cached_input_tokens
    record.cache_write_input_tokens = usage.cache_write_input_tokens
    record.output_tokens = usage.output_tokens
    record.reasoning_tokens = usage.reasoning_tokens
    record.estimated = usage.estimated
    record.cost_nanos = price_of(usage, price)
