"""Chat completions, completions and embeddings, as they come: only the model's name is ours, and a missing role."""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from edge.dialects.errors import chat_failure
from edge.dialects.roles import add_roles
from edge.dialects.translator import About
from edge.errors import EdgeError
from edge.v1.answers import Chunk, read_chunk
from edge.v1.renaming import EventRenamer, rename
from edge.v1.repeats import Repeats
from edge.v1.sse import DONE, Event, data_event, with_data
from edge.v1.usage import Usage


class _Silence(msgspec.Struct):
    """The choices of a chunk with all that they say."""

    choices: list[dict[str, object]] | None = None


_NOTHING: Final[tuple[object, ...]] = (None, "", {}, [])
_decode = msgspec.json.Decoder(_Silence).decode


class ChatTranslator:
    """`is_chat` tells chat completions from completions, `shows_usage` whether the client asked for the usage chunk."""

    __slots__ = ("_about", "_begun", "_is_chat", "_public_name", "_rename", "_shows_usage", "repeats")

    over = False

    def __init__(self, about: About, *, is_chat: bool, shows_usage: bool) -> None:
        self._about = about
        self._public_name = about.public_name
        self._rename = EventRenamer(about.public_name)
        self._is_chat = is_chat
        self._shows_usage = shows_usage
        self._begun: set[int] = set()
        """The answers whose role the client knows."""
        self.repeats = Repeats(b'"content"' if is_chat else b'"text"')

    read = staticmethod(read_chunk)

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The answer under the public name."""
        return rename(body, chunk, self._public_name)

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """The event under the public name; nothing for the usage chunk, unless it was asked for."""
        if chunk.has_usage and not self._shows_usage and _is_usage_only(event, chunk):
            return b""
        if self._is_chat and event.data is not None:
            for choice in chunk.choices or ():
                if choice.index not in self._begun:
                    return self._rename(self._with_roles(event, event.data, chunk), chunk)
        told = self._rename(event, chunk)
        self.repeats.learn(event, chunk, told)
        return told

    def _with_roles(self, event: Event, data: bytes, chunk: Chunk) -> Event:
        said = add_roles(data, chunk, self._begun)
        if said is data:
            return event
        return Event(with_data(event, said.replace(b"\n", b" ")), said, event.name, event.is_plain)

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """The chunk that ends every unfinished answer as an upstream does at the limit."""

        def empty(index: int) -> dict[str, object]:
            if not self._is_chat:
                return {"text": ""}
            return {"delta": {} if index in self._begun else {"role": "assistant"}}

        body = {
            "id": chunk.id or self._about.request_id,
            "object": "chat.completion.chunk" if self._is_chat else "text_completion",
            "created": chunk.created or self._about.created_s,
            "model": self._public_name,
            "choices": [
                {"index": index, **empty(index), "logprobs": None, "finish_reason": "length"} for index in unfinished
            ],
        }
        return data_event(json.dumps(body, separators=(",", ":")).encode())

    def end(self, usage: Usage) -> bytes:
        """The marker of the end."""
        return DONE

    def failure(self, error: EdgeError) -> bytes:
        """The error, then the marker of the end."""
        return chat_failure(error)


def _is_usage_only(event: Event, chunk: Chunk) -> bool:
    """Whether a chunk with usage says nothing else: it has no choices, or as LiteLLM's one that is empty."""
    if not chunk.choices:
        return True
    if any(choice.finish_reason or choice.text for choice in chunk.choices):
        return False
    try:
        said = _decode(event.data or b"{}").choices or ()
    except msgspec.MsgspecError:
        return False
    return all(
        value in _NOTHING or (isinstance(value, dict) and all(part in _NOTHING for part in value.values()))
        for choice in said
        for name, value in choice.items()
        if name != "index"
    )
