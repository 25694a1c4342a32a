"""Talks with the upstream for one exchange, whole or streamed, and says how it ended."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from edge.errors import EdgeError
from edge.money.records import Status
from edge.upstream.client import Client, Response, UpstreamError
from edge.upstream.failures import from_failure, from_status, hide, read_error, upstream_failed, upstream_timeout
from edge.v1.answers import Chunk, read_chunk
from edge.v1.billing import Ending, note_progress
from edge.v1.exchange import Cause, Exchange, Interrupted
from edge.v1.renaming import rename, rename_event
from edge.v1.sse import DONE, Event, EventReader, EventTooLong, data_event

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A whole answer beyond this is nonsense (the largest real ones are lists of embeddings)."""
SLACK_TOKENS: Final = 20
"""Past twice the output bound and this many tokens an answer is cut: its upstream ignores the limit."""
_MAX_ERROR_BYTES: Final = 64 * 1024


async def converse(exchange: Exchange, client: Client, *, usage_wait_s: float) -> Ending:
    """Runs the exchange to its end, whatever that is. Cancellation from outside passes through."""
    try:
        response = await _post(exchange, client)
        try:
            if exchange.plan.streamed:
                return await _stream(exchange, response, usage_wait_s)
            return await _whole(exchange, response)
        finally:
            response.release()
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


async def _post(exchange: Exchange, client: Client) -> Response:
    target = exchange.plan.target
    response = await exchange.wait(
        client.post(target.url, headers=target.headers, body=exchange.plan.body, sent=exchange.note_forwarded)
    )
    exchange.heard(_now())
    if response.status == 200:
        return response
    try:
        body = await exchange.wait(_read_all(response, _MAX_ERROR_BYTES))
    except (UpstreamError, EdgeError):
        body = b""
    finally:
        response.release()
    raise from_status(response, body, target=target, public_name=exchange.plan.model.public_name)


async def _read_all(response: Response, most: int) -> bytes:
    pieces = []
    size = 0
    while piece := await response.read():
        size += len(piece)
        if size > most:
            raise upstream_failed("The model's server sent an answer without end.")
        pieces.append(piece)
    return b"".join(pieces)


async def _whole(exchange: Exchange, response: Response) -> Ending:
    body = await exchange.wait(_read_all(response, MAX_ANSWER_BYTES))
    chunk = _read(exchange, body)
    if exchange.plan.bounds.choices and not chunk.choices:
        raise upstream_failed("The model's server sent an answer without choices.")
    _take(exchange, chunk)
    return Ending(Status.SUCCESS, last=rename(body, chunk, exchange.plan.model.public_name))


async def _stream(exchange: Exchange, response: Response, usage_wait_s: float) -> Ending:
    if not response.header("content-type").startswith("text/event-stream"):
        raise upstream_failed("The model's server did not answer with a stream.")
    await exchange.reply.start_stream()
    reader = EventReader()
    while not exchange.is_finished:
        piece = await exchange.wait(response.read())
        ended = await _pass_on(exchange, reader, piece)
        if ended:
            return ended
    # Nothing but the usage can follow, and it counts even if the client has gone.
    give_up_s = _now() + usage_wait_s
    while True:
        try:
            async with asyncio.timeout_at(give_up_s):
                piece = await response.read()
        except (TimeoutError, UpstreamError):
            return Ending(Status.SUCCESS, last=DONE)
        ended = await _pass_on(exchange, reader, piece)
        if ended:
            return ended


async def _pass_on(exchange: Exchange, reader: EventReader, piece: bytes) -> Ending | None:
    """Gives the client what a piece completes; the Ending where that ends the stream (an empty piece always does)."""
    exchange.heard(_now())
    out: list[bytes] = []
    try:
        ending = _digest(exchange, _split(reader, piece), out)
    except EdgeError as error:
        # What came before it is delivered, and a complete answer is one, whatever follows.
        ending = Ending(Status.SUCCESS, last=DONE) if exchange.is_finished else Ending(Status.ERROR, error=error)
    if out:
        note_progress(exchange)
        await _give(exchange, b"".join(out))
        exchange.heard(_now())
    if ending is None and not piece:
        if exchange.is_finished:
            return Ending(Status.SUCCESS, last=DONE)
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


def _digest(exchange: Exchange, events: Sequence[Event], out: list[bytes]) -> Ending | None:
    plan = exchange.plan
    most = 2 * plan.bounds.output_tokens + SLACK_TOKENS
    for event in events:
        if not event.data or event.name == "ping":
            if event.data is None and not event.is_silent:
                raise upstream_failed("The model's server did not answer with a stream.")
            out.append(event.raw)
            continue
        if event.data.strip() == b"[DONE]":
            return _done(exchange)
        if event.name == "error":
            raise _failure(exchange, event.data)
        chunk = _read(exchange, event.data)
        _take(exchange, chunk)
        if chunk.has_usage and not chunk.choices and not plan.shows_usage:
            continue
        out.append(rename_event(event, chunk, plan.model.public_name))
        if exchange.counter.output_tokens > most:
            return Ending(Status.SUCCESS, last=_cut_at_limit(exchange, chunk) + DONE)
    return None


def _read(exchange: Exchange, data: bytes) -> Chunk:
    try:
        chunk = read_chunk(data)
    except ValueError:
        raise upstream_failed("The model's server did not answer with JSON.") from None
    if chunk.has_error:
        raise _failure(exchange, data)
    return chunk


def _failure(exchange: Exchange, data: bytes) -> EdgeError:
    """What an upstream says instead of an answer."""
    said = read_error(data).message or ""
    text = hide(said, exchange.plan.target, exchange.plan.model.public_name)
    return upstream_failed(f"The model's server failed{': ' + text.rstrip('.') if text else ''}.")


def _done(exchange: Exchange) -> Ending:
    """The end that the upstream has named; without an answer before it that is a failure, as for a whole answer."""
    if not exchange.finished and not exchange.counter.output_tokens:
        raise upstream_failed("The model's server sent an answer without choices.")
    return Ending(Status.SUCCESS, last=DONE)


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


def _cut_at_limit(exchange: Exchange, chunk: Chunk) -> bytes:
    """The chunk that ends every unfinished answer as an upstream does at the limit."""
    exchange.record.finish_reason = "length"
    is_chat = exchange.record.endpoint == "chat.completions"
    empty: dict[str, object] = {"delta": {}} if is_chat else {"text": ""}
    choices = [
        {"index": index, **empty, "logprobs": None, "finish_reason": "length"}
        for index in range(exchange.plan.bounds.choices)
        if index not in exchange.finished
    ]
    body = {
        "id": chunk.id or exchange.record.request_id,
        "object": "chat.completion.chunk" if is_chat else "text_completion",
        "created": chunk.created or exchange.record.start_time_ns // 1_000_000_000,
        "model": exchange.plan.model.public_name,
        "choices": choices,
    }
    return data_event(json.dumps(body, separators=(",", ":")).encode())


def _now() -> float:
    return asyncio.get_running_loop().time()
