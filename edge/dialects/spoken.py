"""Chat chunks read closely enough to be said in another dialect: with ids, indexes, logprobs and stop strings."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.v1.answers import Choice, Chunk, Delta, ToolCall, read_chunk

_NULL: Final = msgspec.Raw(b"null")


class SpokenCall(ToolCall):
    """A tool call, or a piece of it."""

    index: int | None = None
    id: str | None = None


class SpokenDelta(Delta):
    """What a chunk adds to an answer, or a whole message."""

    tool_calls: Sequence[SpokenCall] | None = None


class SpokenChoice(Choice):
    """One answer, or a piece of it. `stop_reason` is the stop string that vLLM names."""

    delta: SpokenDelta | None = None
    message: SpokenDelta | None = None
    logprobs: msgspec.Raw = _NULL
    stop_reason: msgspec.Raw = _NULL


class SpokenChunk(Chunk):
    """A chunk of a stream, or a whole answer."""

    choices: Sequence[SpokenChoice] | None = None


_decode = msgspec.json.Decoder(SpokenChunk).decode


def read_spoken(data: bytes) -> Chunk:
    """A SpokenChunk, or the Chunk of an error. ValueError where what it says can't be translated."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        chunk = read_chunk(data)
    if chunk.choices and not chunk.has_error:
        raise ValueError("choices of another shape")
    return chunk


def first_choice(chunk: Chunk) -> SpokenChoice | None:
    """The only answer that is ever asked for. The calls of a whole message are numbered by their place."""
    if not isinstance(chunk, SpokenChunk):
        return None
    for choice in chunk.choices or ():
        if choice.index == 0:
            for at, call in enumerate((choice.message and choice.message.tool_calls) or ()):
                call.index = at
            return choice
    return None
