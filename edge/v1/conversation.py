"""Talks with the upstream for one exchange, whole or streamed, and says how it ended."""

import asyncio
from collections.abc import Sequence
from typing import Final

from edge.errors import EdgeError
from edge.money.records import Status
from edge.upstream.client import Response, UpstreamError
from edge.upstream.failures import from_failure, hide, read_all, read_error, upstream_failed, upstream_timeout
from edge.upstream.visits import Outcome
from edge.v1.answers import Chunk
from edge.v1.billing import Ending, note_progress
from edge.v1.exchange import Cause, Exchange, Interrupted, Outgoing
from edge.v1.reaching import Upstreams, reach
from edge.v1.sse import Event, EventReader, EventTooLong

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A whole answer beyond this is nonsense (the largest real ones are lists of embeddings)."""
SLACK_TOKENS: Final = 20
"""Past twice the output bound and this many tokens an answer is cut: its upstream ignores the limit."""


async def converse(exchange: Exchange, upstreams: Upstreams, *, usage_wait_s: float) -> Ending:
    """Runs the exchange to its end, whatever that is. Cancellation from outside passes through."""
    try:
        reached = await reach(exchange, upstreams)
        outcome = Outcome.NEUTRAL
        try:
            if exchange.plan.streamed:
                ending = await _stream(exchange, reached.outgoing, reached.response, usage_wait_s)
            else:
                ending = await _whole(exchange, reached.outgoing, reached.response)
            outcome = Outcome.FAILURE if ending.status is Status.ERROR else Outcome.SUCCESS
            return ending
        except (UpstreamError, EdgeError):
            outcome = Outcome.FAILURE
            raise
        except Interrupted as interrupted:
            outcome = Outcome.FAILURE if interrupted.cause is Cause.TIMEOUT else Outcome.NEUTRAL
            raise
        finally:
            reached.response.release()
            reached.visit.leave(outcome)
    except Interrupted as interrupted:
        return _interrupted(interrupted.cause)
    except UpstreamError as error:
        return Ending(Status.ERROR, error=from_failure(error))
    except EdgeError as error:
        return Ending(Status.ERROR, error=error)


def _interrupted(cause: Cause) -> Ending:
    if cause is Cause.CLIENT_GONE:
        return Ending(Status.CANCELLED)
    if cause is Cause.TIMEOUT:
        return Ending(Status.ERROR, error=upstream_timeout())
    stopping = EdgeError(
        "service_unavailable", "This server is being restarted. Nothing was charged. Send the request again."
    )
    return Ending(Status.ERROR, error=stopping)


async def _whole(exchange: Exchange, outgoing: Outgoing, response: Response) -> Ending:
    body = await exchange.wait(read_all(response, MAX_ANSWER_BYTES))
    chunk = _read(exchange, outgoing, body)
    if outgoing.bounds.choices and not chunk.choices:
        raise upstream_failed("The model's server sent an answer without choices.")
    _take(exchange, chunk)
    return Ending(Status.SUCCESS, last=outgoing.translator.whole(body, chunk))


async def _stream(exchange: Exchange, outgoing: Outgoing, response: Response, usage_wait_s: float) -> Ending:
    if not response.header("content-type").startswith("text/event-stream"):
        raise upstream_failed("The model's server did not answer with a stream.")
    await exchange.reply.start_stream()
    reader = EventReader()
    while not exchange.is_finished:
        piece = await exchange.wait(response.read())
        ended = await _pass_on(exchange, outgoing, reader, piece)
        if ended:
            return ended
    # Nothing but the usage can follow, and it counts even if the client has gone.
    give_up_s = _now() + usage_wait_s
    while True:
        try:
            async with asyncio.timeout_at(give_up_s):
                piece = await response.read()
        except (TimeoutError, UpstreamError):
            return Ending(Status.SUCCESS)
        ended = await _pass_on(exchange, outgoing, reader, piece)
        if ended:
            return ended


async def _pass_on(exchange: Exchange, outgoing: Outgoing, reader: EventReader, piece: bytes) -> Ending | None:
    """Gives the client what a piece completes; the Ending where that ends the stream (an empty piece always does)."""
    exchange.heard(_now())
    out: list[bytes] = []
    try:
        ending = _digest(exchange, outgoing, _split(reader, piece), out)
    except EdgeError as error:
        # What came before it is delivered, and a complete answer is one, whatever follows.
        ending = Ending(Status.SUCCESS) if exchange.is_finished else Ending(Status.ERROR, error=error)
    if out:
        note_progress(exchange)
        await _give(exchange, b"".join(out))
        exchange.heard(_now())
    if ending is None and not piece:
        if exchange.is_finished:
            return Ending(Status.SUCCESS)
        raise upstream_failed("The model's server broke off in the middle of its answer.")
    return ending


async def _give(exchange: Exchange, piece: bytes) -> None:
    """Waits until the client has room for a piece: so long its upstream waits too."""
    try:
        await exchange.wait(exchange.reply.write(piece), for_client=True)
    except Interrupted as interrupted:
        if exchange.is_finished:
            return
        if interrupted.cause is Cause.TIMEOUT:
            # It was the client who was silent: it pays like one who leaves.
            raise Interrupted(Cause.CLIENT_GONE) from None
        raise


def _split(reader: EventReader, piece: bytes) -> Sequence[Event]:
    try:
        return reader.feed(piece) if piece else reader.rest()
    except EventTooLong:
        raise upstream_failed("The model's server sent an event without end.") from None


def _digest(exchange: Exchange, outgoing: Outgoing, events: Sequence[Event], out: list[bytes]) -> Ending | None:
    translator = outgoing.translator
    most = 2 * outgoing.bounds.output_tokens + SLACK_TOKENS
    for event in events:
        if not event.data or event.name == "ping":
            if event.data is None and not event.is_silent:
                raise upstream_failed("The model's server did not answer with a stream.")
            out.append(event.raw)
            continue
        if event.data.strip() == b"[DONE]":
            return _done(exchange)
        if event.name == "error":
            raise _failure(exchange, outgoing, event.data)
        chunk = _read(exchange, outgoing, event.data)
        _take(exchange, chunk)
        told = translator.event(event, chunk)
        if told:
            out.append(told)
        if exchange.counter.output_tokens > most:
            exchange.record.finish_reason = "length"
            unfinished = [index for index in range(outgoing.bounds.choices) if index not in exchange.finished]
            return Ending(Status.SUCCESS, last=translator.cut(chunk, unfinished))
        if translator.over:
            return _done(exchange)
    return None


def _read(exchange: Exchange, outgoing: Outgoing, data: bytes) -> Chunk:
    try:
        chunk = outgoing.translator.read(data)
    except ValueError:
        raise upstream_failed("The model's server did not answer with JSON.") from None
    if chunk.has_error:
        raise _failure(exchange, outgoing, b'{"error":' + bytes(chunk.error) + b"}")
    return chunk


def _failure(exchange: Exchange, outgoing: Outgoing, data: bytes) -> EdgeError:
    """What an upstream says instead of an answer."""
    said = read_error(data).message or ""
    text = hide(said, outgoing.target, exchange.record.model_public_name)
    return upstream_failed(f"The model's server failed{': ' + text.rstrip('.') if text else ''}.")


def _done(exchange: Exchange) -> Ending:
    """The end that the upstream has named; without an answer before it that is a failure, as for a whole answer."""
    if not exchange.finished and not exchange.counter.output_tokens:
        raise upstream_failed("The model's server sent an answer without choices.")
    return Ending(Status.SUCCESS)


def _take(exchange: Exchange, chunk: Chunk) -> None:
    """Counts what a chunk says."""
    if chunk.has_usage:
        exchange.usage = chunk.usage
    for choice in chunk.choices or ():
        exchange.counter.add(choice)
        if choice.finish_reason is not None:
            exchange.finished.add(choice.index)
            exchange.record.finish_reason = exchange.record.finish_reason or choice.finish_reason[:64]
    if exchange.plan.streamed and exchange.first_token_s is None and exchange.counter.output_tokens:
        exchange.first_token_s = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
