"""Splits a server-sent event stream into events, whatever the pieces that it arrives in."""

import re
from dataclasses import dataclass
from typing import Final

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""An event beyond this is nonsense: what is kept of an unfinished one must have a bound."""

# https://html.spec.whatwg.org/multipage/server-sent-events.html: a line ends in LF, CR or CRLF, an empty one ends
# the event. A trailing CR may be half of a CRLF, so it ends nothing before the next byte is there.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?=[^\n]))")
_LINE = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its bytes as they came, and its data (None: a comment, or nothing)."""

    raw: bytes
    data: bytes | None


class EventTooLong(ValueError):
    """An event grew beyond MAX_EVENT_BYTES."""


class EventReader:
    """Holds the unfinished tail of a stream."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes."""
        text = self._tail + piece if self._tail else piece
        events = []
        at = 0
        for end in _END.finditer(text):
            events.append(_event(text[at : end.end()]))
            at = end.end()
        self._tail = text[at:]
        if len(self._tail) > MAX_EVENT_BYTES:
            raise EventTooLong(f"an event of over {MAX_EVENT_BYTES} bytes")
        return events

    def rest(self) -> list[Event]:
        """What is left at the end of the stream: an upstream may leave out the last empty line."""
        rest, self._tail = self._tail, b""
        return [_event(rest.rstrip(b"\r\n") + b"\n\n")] if rest.strip() else []


def _event(raw: bytes) -> Event:
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return Event(raw, raw[6:-2])
    lines = [line[5:] for line in _LINE.split(raw) if line.startswith(b"data:")]
    if not lines:
        return Event(raw, None)
    return Event(raw, b"\n".join(line.removeprefix(b" ") for line in lines))


def data_event(data: bytes) -> bytes:
    """An event with this data, which has no line breaks."""
    return b"data: " + data + b"\n\n"


KEEP_ALIVE: Final = b": keep-alive\n\n"
DONE: Final = data_event(b"[DONE]")
