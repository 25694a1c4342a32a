"""Judges what an upstream sends with its 200: an answer, whole or piece by piece, or a failure in the place of one."""

from collections.abc import Sequence
from typing import Final

from edge.errors import EdgeError
from edge.money.records import Status
from edge.upstream.failures import hide, read_error, upstream_failed
from edge.v1.answers import Chunk
from edge.v1.billing import Ending
from edge.v1.exchange import Exchange, Outgoing
from edge.v1.repeats import Repeats
from edge.v1.sse import Event, EventReader, EventTooLong

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A whole answer beyond this is nonsense (the largest real ones are lists of embeddings)."""
_KNOWN_REASONS: Final = frozenset(
    {
        *("stop", "length", "tool_calls", "function_call", "content_filter", "error", "load", "unload", "eos"),
        *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "completed", "incomplete"),
    }
)
"""Those of the servers that there are. The record keeps no other: it may be a word of the answer."""
_LOOKS: Final = 4
"""So often it is looked in one piece whether events need no reading, from the event on behind one that did."""
SLACK_TOKENS: Final = 20
"""Past twice the output bound and this many tokens an answer is cut: its upstream ignores the limit."""


def judge_whole(exchange: Exchange, outgoing: Outgoing, body: bytes) -> Ending:
    """What a whole answer comes to. EdgeError where it is none; then nothing of it was counted."""
    chunk = _read(exchange, outgoing, body)
    if outgoing.bounds.choices and not chunk.choices:
        raise upstream_failed("The model's server sent an answer without choices.")
    if not outgoing.bounds.choices and not chunk.has_vectors:
        raise upstream_failed("The model's server sent an answer without embeddings.")
    last = outgoing.translator.whole(body, chunk)
    _take(exchange, chunk)
    return Ending(Status.SUCCESS, last=last)


def judge_piece(
    exchange: Exchange, outgoing: Outgoing, reader: EventReader, *, piece: bytes, out: list[bytes]
) -> Ending | None:
    """The Ending where a piece ends the stream (an empty one always does); what the client gets of it goes to `out`."""
    repeats = outgoing.translator.repeats
    for _ in range(_LOOKS if piece else 0):
        if repeats is None or not repeats.is_hopeful:
            break
        rest = _pass_repeats(exchange, outgoing, repeats, reader=reader, piece=piece, out=out)
        if rest == b"":
            return None
        piece = piece if rest is None else rest
        end = piece.find(b"\n\n") + 2
        if end < 2 or end == len(piece):
            break
        ending = _judge_events(exchange, outgoing, reader, piece=piece[:end], out=out)
        if ending is not None:
            return ending
        piece = piece[end:]
    return _judge_events(exchange, outgoing, reader, piece=piece, out=out)


def _judge_events(
    exchange: Exchange, outgoing: Outgoing, reader: EventReader, *, piece: bytes, out: list[bytes]
) -> Ending | None:
    try:
        ending = _digest(exchange, outgoing, reader.feed(piece) if piece else reader.rest(), out)
    except EventTooLong:
        return _broken(exchange, upstream_failed("The model's server sent an event without end."))
    except EdgeError as error:
        return _broken(exchange, error)
    if ending is not None or piece:
        return ending
    where = "in the middle of" if exchange.told else "before"
    return _broken(exchange, upstream_failed(f"The model's server broke off {where} its answer."))


def _pass_repeats(
    exchange: Exchange,
    outgoing: Outgoing,
    repeats: Repeats,
    *,
    reader: EventReader,
    piece: bytes,
    out: list[bytes],
) -> bytes | None:
    """What is left of a piece behind events that only carry on with a text, and need no reading. None: all of it is."""
    counter = exchange.counter
    room = _most_tokens(outgoing) - counter.output_tokens

    def known(events: bytes) -> int:
        found = repeats.read(events)
        if found is None or found.most_tokens > room:
            return 0
        counter.add_deltas(found.choice, found.deltas, found.characters, found.size)
        out.append(found.told)
        return found.length

    return reader.skip(piece, known)


def _most_tokens(outgoing: Outgoing) -> int:
    return 2 * outgoing.bounds.output_tokens + SLACK_TOKENS


def _broken(exchange: Exchange, error: EdgeError) -> Ending:
    """The end of a stream that fails: what came before is delivered, and a complete answer is one, whatever follows."""
    return Ending(Status.SUCCESS) if exchange.is_finished else Ending(Status.ERROR, error=error)


def _digest(exchange: Exchange, outgoing: Outgoing, events: Sequence[Event], out: list[bytes]) -> Ending | None:
    translator = outgoing.translator
    most = _most_tokens(outgoing)
    for event in events:
        data = event.data
        if not data or event.name == "ping":
            if data is None and not event.is_silent:
                raise upstream_failed("The model's server did not answer with a stream.")
            out.append(event.raw)
            continue
        if not data.startswith(b"{") and data.strip() == b"[DONE]":
            return _done(exchange)
        if event.name == "error":
            raise _failure(exchange, outgoing, data)
        chunk = _read(exchange, outgoing, data)
        _take(exchange, chunk)
        told = translator.event(event, chunk)
        if told:
            exchange.told = True
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
    return Ending(Status.SUCCESS, said=True)


def _take(exchange: Exchange, chunk: Chunk) -> None:
    """Counts what a chunk says."""
    counter = exchange.counter
    if chunk.has_usage:
        exchange.usage = chunk.usage
    for choice in chunk.choices or ():
        counter.add(choice)
        if choice.finish_reason is not None:
            exchange.finished.add(choice.index)
            reason = choice.finish_reason if choice.finish_reason in _KNOWN_REASONS else "other"
            exchange.record.finish_reason = exchange.record.finish_reason or reason
    if exchange.first_token_s is None and counter.output_tokens and exchange.plan.streamed:
        exchange.first_token_s = exchange.now_s()
