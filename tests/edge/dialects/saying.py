"""Runs translators over what an upstream says, and reads what they make of it as a client does."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from edge.dialects.translator import About, Translator
from edge.v1.sse import EventReader, data_event
from edge.v1.usage import Usage, read_usage

ABOUT = About(
    request_id="01890000-0000-7000-8000-0000000000aa",
    public_name="privaterouter/fast",
    created_s=1_700_000_000,
    prompt_estimate=7,
)
OWN = "018900000000700080000000000000aa"
USAGE = Usage(10, 5, cached_input_tokens=4, reasoning_tokens=2, cache_write_input_tokens=1)


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat chunk with one choice."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, **more}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "hidden", "choices": [choice]}


def call(index: int | None, name: str | None = None, arguments: str = "", call_id: str | None = None) -> dict[str, Any]:
    """A delta with a piece of a tool call."""
    piece: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        piece["index"] = index
    if name is not None:
        piece["function"]["name"] = name
    if call_id is not None:
        piece |= {"id": call_id, "type": "function"}
    return {"tool_calls": [piece]}


def stream_of(chunks: Iterable[object]) -> bytes:
    """Chat chunks as an upstream streams them."""
    return b"".join(data_event(dump(one)) for one in chunks)


def tell(translator: Translator, pieces: Iterable[bytes]) -> bytes:
    """What a client gets for the pieces of an upstream's stream, but for the end."""
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)] + reader.rest()
    said = [event for event in events if event.data is not None and event.data != b"[DONE]"]
    return b"".join(translator.event(event, translator.read(event.data or b"")) for event in said)


def heard(stream: bytes) -> list[dict[str, Any]]:
    """The data of the events that a client gets; each says its name twice, and nothing else is sent."""
    events = EventReader().feed(stream)
    assert b"".join(event.raw for event in events) == stream
    found = []
    for event in events:
        assert event.data is not None
        data = json.loads(event.data)
        assert event.raw == b"event: " + data["type"].encode() + b"\ndata: " + event.data + b"\n\n"
        found.append(data)
    return found


def say(translator: Translator, chunks: Sequence[object], usage: Usage = USAGE) -> list[dict[str, Any]]:
    """The events of a whole stream."""
    return heard(tell(translator, [stream_of(chunks)]) + translator.end(usage))


def answer(translator: Translator, message: dict[str, Any], *, finish: str = "stop", **more: Any) -> Any:
    """A whole answer."""
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "hidden",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    } | more
    data = dump(body)
    return json.loads(translator.whole(data, translator.read(data)))


def usage_in(translator: Translator, events: Iterable[object]) -> Usage | None:
    """What the hot path reads of the last usage in these events."""
    said = None
    for event in events:
        read = translator.read(dump(event))
        if read.has_usage:
            said = read_usage(read.usage, text_delivered=True)
    return said
