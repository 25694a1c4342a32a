"""Sorts what a chat answer says into parts, one after the other, as the other dialects want it.

Chat names tool calls by an index and may mix their pieces; Responses and Messages finish one part before the next
begins. So a part is held back until the one before it is complete: a tool call is when its arguments are a JSON object,
anything else is as soon as something else begins.
"""

import enum
from typing import Final, NamedTuple

import msgspec

from edge.dialects.spoken import SpokenCall, SpokenDelta

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LEGACY: Final = -1
"""The index of the one call that `function_call` holds."""
_UNNUMBERED: Final = -2
"""Calls without an index are counted down from here."""


class Kind(enum.Enum):
    """What a part is."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Verb(enum.Enum):
    """What happens to a part."""

    START = "start"
    ADD = "add"
    STOP = "stop"


class Part:
    """One part of an answer. `number` counts the parts from 0.

    `id` is what the upstream calls a call, and is empty where it gave none, or one that another call has already.
    """

    __slots__ = ("checked", "id", "kind", "last", "name", "number", "pieces", "said_id", "sent")

    def __init__(self, kind: Kind, number: int) -> None:
        self.kind = kind
        self.number = number
        self.id = ""
        self.said_id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.sent = 0
        self.checked = 0
        self.last = ""

    @property
    def text(self) -> str:
        """All of it: the text, or the arguments of the call."""
        return "".join(self.pieces)

    def add_arguments(self, text: str) -> None:
        """More of a call."""
        self.pieces.append(text)
        self.last = text.rstrip()[-1:] or self.last

    def is_complete(self) -> bool:
        """Whether nothing more of it can come, given that something else has begun."""
        if self.kind is not Kind.CALL:
            return True
        if self.last != "}" or self.checked == len(self.pieces):
            # All of it is only looked at when it may be an object that it was not before.
            return False
        self.checked = len(self.pieces)
        return is_object(self.text)


class Step(NamedTuple):
    """A part starts, gets more text, or stops."""

    verb: Verb
    part: Part
    text: str = ""


def is_object(text: str) -> bool:
    """Whether the text is a JSON object."""
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        return False
    return True


class Sorter:
    """Holds the parts of one answer."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._at = 0
        self._started = False
        self._calls: dict[int, Part] = {}
        self._ids: set[str] = set()

    def add(self, delta: SpokenDelta) -> list[Step]:
        """What a chunk's delta leads to."""
        if delta.reasoning_content or delta.reasoning:
            # Some upstreams say the same under both names.
            self._say(Kind.REASONING, delta.reasoning_content or delta.reasoning or "")
        if delta.content:
            self._say(Kind.TEXT, delta.content)
        if delta.refusal:
            self._say(Kind.REFUSAL, delta.refusal)
        for call in delta.tool_calls or ():
            self._call(call)
        if delta.function_call is not None:
            self._call(SpokenCall(function=delta.function_call, index=_LEGACY))
        return self._go_on(ending=False)

    def close(self) -> list[Step]:
        """What ends all parts."""
        return self._go_on(ending=True)

    def _say(self, kind: Kind, text: str) -> None:
        part = self.parts[-1] if self.parts else None
        if part is None or part.kind is not kind or part.number < self._at:
            part = self._begin(kind)
        part.pieces.append(text)

    def _call(self, call: SpokenCall) -> None:
        name = (call.function and call.function.name) or ""
        arguments = (call.function and call.function.arguments) or ""
        part = self._find(call, name)
        if part is None:
            part = self._begin(Kind.CALL)
            self._calls[_UNNUMBERED - len(self._calls) if call.index is None else call.index] = part
        part.name = part.name or name
        if call.id and not part.said_id:
            part.said_id = call.id
            if call.id not in self._ids and not (part.number == self._at and self._started):
                self._ids.add(call.id)
                part.id = call.id
        if arguments and part.number >= self._at:
            part.add_arguments(arguments)

    def _find(self, call: SpokenCall, name: str) -> Part | None:
        """The call that this is a piece of; None where it is a new one.

        Upstreams that give every call the index 0, or none, name the function with each new call, and give it
        another id or none at all.
        """
        if call.index is not None:
            part = self._calls.get(call.index)
        else:
            part = next((part for part in self._calls.values() if call.id and part.said_id == call.id), None)
            if part is None and not name and self._calls:
                part = next(reversed(self._calls.values()))
        if part is None or not name or not part.name:
            return part
        is_other = part.said_id != call.id if call.id and part.said_id else is_object(part.text)
        return None if is_other else part

    def _begin(self, kind: Kind) -> Part:
        part = Part(kind, len(self.parts))
        self.parts.append(part)
        return part

    def _go_on(self, *, ending: bool) -> list[Step]:
        steps = []
        while self._at < len(self.parts):
            part = self.parts[self._at]
            if not self._started:
                if part.kind is Kind.CALL and not part.name and not ending:
                    break
                self._started = True
                steps.append(Step(Verb.START, part))
            if part.sent < len(part.pieces):
                steps.append(Step(Verb.ADD, part, "".join(part.pieces[part.sent :])))
                part.sent = len(part.pieces)
            is_last = part.number == len(self.parts) - 1
            if not ending and (is_last or not part.is_complete()):
                break
            steps.append(Step(Verb.STOP, part))
            self._at += 1
            self._started = False
        return steps
