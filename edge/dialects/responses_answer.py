"""Says a chat completion as an OpenAI response, whole or as its stream of events."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from edge.dialects.errors import responses_failure
from edge.dialects.logprobs import read_logprobs
from edge.dialects.parts import Kind, Part, Sorter, Step, Verb
from edge.dialects.responses_object import Echo, failed_error, show_usage
from edge.dialects.spoken import SpokenChoice, SpokenDelta, first_choice, read_spoken
from edge.dialects.translator import About, named_event, usage_of
from edge.errors import EdgeError
from edge.v1.answers import Chunk
from edge.v1.sse import Event
from edge.v1.usage import Usage

_encode = msgspec.json.Encoder().encode

_PREFIX: Final = {Kind.REASONING: "rs", Kind.TEXT: "msg", Kind.REFUSAL: "msg", Kind.CALL: "fc"}
_DELTA: Final = {
    Kind.REASONING: "response.reasoning_text.delta",
    Kind.TEXT: "response.output_text.delta",
    Kind.REFUSAL: "response.refusal.delta",
    Kind.CALL: "response.function_call_arguments.delta",
}
# What ends an answer early, and what that is called here.
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesOverChat:
    """`body` is the request as the client sent it: a response repeats much of it."""

    over = False
    repeats = None

    def __init__(self, about: About, body: bytes) -> None:
        self._about = about
        self._echo = Echo(about, body)
        self._sorter = Sorter()
        self._finish = ""
        self._number = 0
        self._begun = False
        self._items: list[dict[str, object]] = []
        self._logprobs: dict[int, list[object]] = {}
        self._logprobs_sent = 0

    def read(self, data: bytes) -> Chunk:
        """What a chunk or whole answer says. ValueError where it can't be translated."""
        return read_spoken(data)

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The response."""
        choice = first_choice(chunk)
        if choice is not None:
            self._take(choice, choice.message)
        status, details = self._status()
        last = len(self._sorter.parts) - 1
        for part in self._sorter.parts:
            self._items.append(self._item(part, status if part.number == last else "completed"))
        usage = show_usage(usage_of(chunk, self._about))
        return _encode(self._echo.response(status, output=self._items, incomplete_details=details, usage=usage))

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """The events for a chunk."""
        out = self._begin()
        choice = first_choice(chunk)
        if choice is not None:
            out += self._say(self._take(choice, choice.delta), status="completed")
        return b"".join(out)

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """Nothing yet: `end` says that the limit was reached."""
        if unfinished:
            self._finish = "length"
        return b""

    def end(self, usage: Usage) -> bytes:
        """The end of all items, and of the response."""
        status, details = self._status()
        out = self._begin()
        out += self._say(self._sorter.close(), status=status)
        response = self._echo.response(status, output=self._items, incomplete_details=details, usage=show_usage(usage))
        out.append(self._event(f"response.{status}", {"response": response}))
        return b"".join(out)

    def failure(self, error: EdgeError) -> bytes:
        """The error, and the response that failed by it."""
        out = self._begin()
        out.append(responses_failure(error, self._number))
        self._number += 1
        response = self._echo.response("failed", output=self._items, error=failed_error(error))
        out.append(self._event("response.failed", {"response": response}))
        return b"".join(out)

    def _status(self) -> tuple[str, dict[str, object] | None]:
        reason = _INCOMPLETE.get(self._finish)
        return ("incomplete", {"reason": reason}) if reason else ("completed", None)

    def _take(self, choice: SpokenChoice, delta: SpokenDelta | None) -> list[Step]:
        if choice.finish_reason and not self._finish:
            self._finish = choice.finish_reason
        if delta is None:
            return []
        steps = self._sorter.add(delta)
        if self._echo.shows_logprobs and delta.content:
            part = next(part for part in reversed(self._sorter.parts) if part.kind is Kind.TEXT)
            self._logprobs.setdefault(part.number, []).extend(read_logprobs(choice.logprobs))
        return steps

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return [
            self._event(name, {"response": self._echo.response("in_progress")})
            for name in ("response.created", "response.in_progress")
        ]

    def _event(self, name: str, fields: dict[str, object]) -> bytes:
        data = named_event(name, {"sequence_number": self._number, **fields})
        self._number += 1
        return data

    def _say(self, steps: Iterable[Step], *, status: str) -> list[bytes]:
        out: list[bytes] = []
        for verb, part, text in steps:
            if verb is Verb.ADD:
                out.append(self._add(part, text))
            elif verb is Verb.START:
                out += self._start(part)
            else:
                out += self._stop(part, status if part is self._sorter.parts[-1] else "completed")
        return out

    def _place(self, part: Part) -> dict[str, object]:
        place: dict[str, object] = {"item_id": self._id(part), "output_index": part.number}
        if part.kind is not Kind.CALL:
            place["content_index"] = 0
        return place

    def _start(self, part: Part) -> list[bytes]:
        item = self._item(part, "in_progress")
        out = [self._event("response.output_item.added", {"output_index": part.number, "item": item})]
        if part.kind is not Kind.CALL:
            content = {"part": _content(part.kind, "", [])}
            out.append(self._event("response.content_part.added", self._place(part) | content))
        return out

    def _add(self, part: Part, text: str) -> bytes:
        fields = self._place(part)
        fields["delta"] = text
        if part.kind is Kind.TEXT:
            known = self._logprobs.get(part.number, [])
            fields["logprobs"] = known[self._logprobs_sent :]
            self._logprobs_sent = len(known)
        return self._event(_DELTA[part.kind], fields)

    def _stop(self, part: Part, status: str) -> list[bytes]:
        item = self._item(part, status)
        self._items.append(item)
        place = self._place(part)
        out = []
        if part.kind is Kind.CALL:
            done = {"arguments": part.text, "name": part.name}
            out.append(self._event("response.function_call_arguments.done", place | done))
        else:
            content = _content(part.kind, part.text, self._logprobs.get(part.number, []))
            said = {name: value for name, value in content.items() if name in {"text", "refusal", "logprobs"}}
            out.append(self._event(_DELTA[part.kind].removesuffix("delta") + "done", place | said))
            out.append(self._event("response.content_part.done", place | {"part": content}))
        out.append(self._event("response.output_item.done", {"output_index": part.number, "item": item}))
        self._logprobs_sent = 0
        return out

    def _id(self, part: Part) -> str:
        return self._about.make_id(_PREFIX[part.kind], part.number)

    def _item(self, part: Part, status: str) -> dict[str, object]:
        own: dict[str, object]
        begins = status == "in_progress"
        if part.kind is Kind.CALL:
            call_id = part.id or self._about.make_id("call", part.number)
            arguments = "" if begins else part.text
            own = {"type": "function_call", "call_id": call_id, "name": part.name, "arguments": arguments}
        else:
            logprobs = self._logprobs.get(part.number, [])
            content = [] if begins else [_content(part.kind, part.text, logprobs)]
            if part.kind is Kind.REASONING:
                own = {"type": "reasoning", "summary": [], "content": content}
            else:
                own = {"type": "message", "role": "assistant", "content": content}
        return {"id": self._id(part), "status": status, **own}


def _content(kind: Kind, text: str, logprobs: list[object]) -> dict[str, object]:
    if kind is Kind.REASONING:
        return {"type": "reasoning_text", "text": text}
    if kind is Kind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}
