"""Says a chat completion as an Anthropic message, whole or as its stream of events."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from edge.dialects.errors import messages_failure
from edge.dialects.parts import Kind, Part, Sorter, Step, Verb
from edge.dialects.spoken import SpokenChoice, SpokenDelta, first_choice, read_spoken
from edge.dialects.translator import About, named_event, usage_of
from edge.errors import EdgeError
from edge.v1.answers import Chunk
from edge.v1.sse import Event
from edge.v1.usage import Usage

_encode = msgspec.json.Encoder().encode

STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""Chat's finish reasons, and Anthropic's words for them."""
_DELTA: Final = {
    Kind.REASONING: ("thinking_delta", "thinking"),
    Kind.TEXT: ("text_delta", "text"),
    Kind.REFUSAL: ("text_delta", "text"),
    Kind.CALL: ("input_json_delta", "partial_json"),
}


class _Asked(msgspec.Struct):
    stop_sequences: list[str] | None = None
    thinking: dict[str, msgspec.Raw] | None = None


_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


class MessagesOverChat:
    """`body` is the request as the client sent it: what it asked for shapes the answer."""

    over = False
    repeats = None

    def __init__(self, about: About, body: bytes) -> None:
        asked = _decode_asked(body)
        self._about = about
        self._stop_sequences = frozenset(asked.stop_sequences or ())
        self._hides_thinking = bytes((asked.thinking or {}).get("display", b"")) == b'"omitted"'
        self._sorter = Sorter()
        self._finish = ""
        self._stopped_by: str | None = None
        self._begun = False

    def read(self, data: bytes) -> Chunk:
        """What a chunk or whole answer says. ValueError where it can't be translated."""
        return read_spoken(data)

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The message."""
        choice = first_choice(chunk)
        if choice is not None:
            self._take(choice, choice.message)
        message = self._message([self._block(part) for part in self._sorter.parts])
        return _encode({**message, **self._stop(), "usage": show_usage(usage_of(chunk, self._about))})

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """The events for a chunk."""
        out = self._begin()
        choice = first_choice(chunk)
        if choice is not None:
            out += self._say(self._take(choice, choice.delta))
        return b"".join(out)

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """Nothing yet: `end` says that the limit was reached."""
        if unfinished:
            self._finish = "length"
        return b""

    def end(self, usage: Usage) -> bytes:
        """The end of all blocks, and of the message."""
        out = self._begin()
        out += self._say(self._sorter.close())
        return b"".join(out) + ending(self._stop(), show_usage(usage))

    def failure(self, error: EdgeError) -> bytes:
        """The error, which ends the stream."""
        return messages_failure(error, self._about.request_id)

    def _take(self, choice: SpokenChoice, delta: SpokenDelta | None) -> list[Step]:
        if choice.finish_reason and not self._finish:
            self._finish = choice.finish_reason
            reason = _decode_any(choice.stop_reason)
            if isinstance(reason, str) and reason in self._stop_sequences:
                self._stopped_by = reason
        if delta is None:
            return []
        if self._hides_thinking:
            delta.reasoning_content = delta.reasoning = None
        return self._sorter.add(delta)

    def _message(self, content: list[dict[str, object]]) -> dict[str, object]:
        return {
            "id": self._about.make_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": self._about.public_name,
            "content": content,
        }

    def _stop(self) -> dict[str, object]:
        kinds = {part.kind for part in self._sorter.parts}
        reason = STOP_REASONS.get(self._finish, "end_turn")
        if reason == "end_turn":
            if self._stopped_by is not None:
                reason = "stop_sequence"
            elif Kind.CALL in kinds:
                # Some upstreams say "stop" after a call, too.
                reason = "tool_use"
            elif Kind.REFUSAL in kinds:
                reason = "refusal"
        elif reason == "tool_use" and Kind.CALL not in kinds:
            reason = "end_turn"
        return {"stop_reason": reason, "stop_sequence": self._stopped_by if reason == "stop_sequence" else None}

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        # Chat says its usage at the end; until then, our estimate of the prompt stands for it.
        usage = show_usage(Usage(self._about.prompt_estimate, 0, estimated=True))
        message = {**self._message([]), "stop_reason": None, "stop_sequence": None, "usage": usage}
        return [named_event("message_start", {"message": message})]

    def _say(self, steps: Iterable[Step]) -> list[bytes]:
        out: list[bytes] = []
        for verb, part, text in steps:
            if verb is Verb.ADD:
                kind, field = _DELTA[part.kind]
                delta = {"type": kind, field: text}
                out.append(named_event("content_block_delta", {"index": part.number, "delta": delta}))
            elif verb is Verb.START:
                block = self._block(part, begins=True)
                out.append(named_event("content_block_start", {"index": part.number, "content_block": block}))
            else:
                out.append(block_stop(part.number))
        return out

    def _block(self, part: Part, *, begins: bool = False) -> dict[str, object]:
        text = "" if begins else part.text
        if part.kind is Kind.REASONING:
            return {"type": "thinking", "thinking": text, "signature": ""}
        if part.kind is not Kind.CALL:
            return {"type": "text", "text": text}
        call_id = part.id or self._about.make_id("toolu", part.number)
        return {"type": "tool_use", "id": call_id, "name": part.name, "input": _input(text)}


def _input(arguments: str) -> dict[str, object]:
    """The arguments as the object that they must be here; what a model got wrong stays visible in one."""
    if not arguments.strip():
        return {}
    try:
        return dict(_decode_object(arguments))
    except (ValueError, RecursionError):
        return {"invalid_arguments": arguments}


def show_usage(usage: Usage) -> dict[str, object]:
    """The usage as a message says it: the classes of input apart, instead of one in the other."""
    cached, written = usage.cached_input_tokens, usage.cache_write_input_tokens
    return {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }


def block_stop(index: int) -> bytes:
    """The end of a block."""
    return named_event("content_block_stop", {"index": index})


def ending(stop: dict[str, object] | None, usage: dict[str, object]) -> bytes:
    """The two events that end a message; only the last of them where it has stopped already (`stop` is None)."""
    last = named_event("message_stop", {})
    return last if stop is None else named_event("message_delta", {"delta": stop, "usage": usage}) + last
