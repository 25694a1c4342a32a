"""Splits a server-sent event stream into events, whatever the pieces that it arrives in."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""An event beyond this is nonsense: what is kept of an unfinished one must have a bound."""
_MOST_KNOWN_BYTES: Final = 65536
"""An unfinished event beyond this is looked at when it is finished: not again with each piece."""

# https://html.spec.whatwg.org/multipage/server-sent-events.html: a line ends in CRLF, LF or CR, an empty one ends the
# event. After the end of a line every CR or LF is of an empty one; those that follow an event at once stay with it.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))[\r\n]+")
_BLANK = re.compile(rb"[\r\n]+")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)")
_USUAL = re.compile(rb"(?:event: ([^\r\n]*)\r?\n)?data: ([^\r\n]*)\r?\n\r?\n")
_SILENT = re.compile(rb"(?:(?:(?::|(?:event|id|retry)(?=[:\r\n]))[^\r\n]*+)?[\r\n])*+")
_BOM = b"\xef\xbb\xbf"
_CR, _LF = b"\r\n"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event: its bytes as they came, its data, and its name (empty: it has none)."""

    raw: bytes
    data: bytes | None
    """None: it has no data, as a comment or an empty line."""
    name: str = ""
    is_plain: bool = False
    """Whether it is nothing but one line of data, as nearly all events are."""

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing to a client: comments, empty lines, and an id or name without data.

        An event without data that is not silent was not meant as one: it is a piece of a page, or of plain JSON.
        """
        return self.data is None and _SILENT.fullmatch(self.raw) is not None


class EventTooLong(ValueError):
    """An event grew beyond its bound."""


class EventReader:
    """Holds the unfinished event of a stream. Takes time in proportion to what it is fed, however it is cut.

    The bytes of the events, put together, are the stream, but for a byte order mark at its beginning: what we send
    may begin with a comment of our own, and behind that the mark would spoil a line.
    """

    def __init__(self, *, most_bytes: int = MAX_EVENT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._tail = bytearray()
        self._begun = False
        self._between = False
        """Whether the next byte begins an event."""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes. EventTooLong, also for those before it in the piece."""
        if self._between and piece.endswith(b"\n\n") and len(piece) <= self._most_bytes and b"\r" not in piece:
            plain = _plain_events(piece)
            if plain is not None:
                return plain
        if not self._begun:
            piece = self._begin(piece)
        if not piece:
            return []
        events: list[Event] = []
        at = self._finish(piece, events) if self._tail else self._skip_blank(piece, events)
        if at is not None:
            for match in _END.finditer(piece, at):
                end = match.end()
                if end - at > self._most_bytes:
                    raise self._too_long()
                events.append(_event(piece[at:end]))
                at = end
            if at < len(piece):
                self._keep(piece[at:])
        self._between = not self._tail
        return events

    def skip(self, piece: bytes, known: Callable[[bytes], int]) -> bytes | None:
        """What is still to be fed of a piece when `known` has taken the first bytes of the events that it completes.

        `known` says how many it takes: some of these events, and all of each. None: nothing was taken.
        """
        if not self._begun or len(self._tail) > _MOST_KNOWN_BYTES:
            return None
        text = bytes(self._tail) + piece if self._tail else piece
        end = text.rfind(b"\n\n") + 2
        taken = known(text[:end]) if end > 1 else 0
        if not taken:
            return None
        self._tail.clear()
        self._between = True
        return text[taken:]

    def rest(self) -> list[Event]:
        """What is left at the end of the stream, ended: an upstream may leave out the last empty line."""
        raw = bytes(self._tail)
        self._tail.clear()
        if not raw:
            return []
        return [_event(raw + (b"\n" if raw.endswith(b"\n") else b"\n\n"))]

    def _begin(self, piece: bytes) -> bytes:
        """The first bytes of the stream without the byte order mark; nothing while they may become one."""
        text = bytes(self._tail) + piece
        self._tail.clear()
        if len(text) < len(_BOM) and _BOM.startswith(text):
            self._tail += text
            return b""
        self._begun = True
        return text.removeprefix(_BOM)

    def _finish(self, piece: bytes, events: list[Event]) -> int | None:
        """Ends the unfinished event: where the next one begins in `piece`, or None where it goes on."""
        last = self._tail[-1]
        begin = 1 if last == _CR and piece[0] == _LF else 0
        end = _BLANK.match(piece, begin) if last in (_CR, _LF) else None
        end = end or _END.search(piece, begin)
        if end is None:
            self._keep(piece)
            return None
        self._keep(piece[: end.end()])
        raw = bytes(self._tail)
        self._tail.clear()
        events.append(_event(raw))
        return end.end()

    def _skip_blank(self, piece: bytes, events: list[Event]) -> int:
        """Empty lines after an event, and the LF of a CRLF whose CR has ended one."""
        blank = _BLANK.match(piece)
        if blank is None:
            return 0
        events.append(Event(blank[0], None))
        return blank.end()

    def _keep(self, text: bytes) -> None:
        if len(self._tail) + len(text) > self._most_bytes:
            raise self._too_long()
        self._tail += text

    def _too_long(self) -> EventTooLong:
        return EventTooLong(f"an event of over {self._most_bytes} bytes")


def _plain_events(text: bytes) -> list[Event] | None:
    """The events of a text that ends in an empty line, where each is a single line of data, and no lines end in CR."""
    if text.find(b"\n") == len(text) - 2:
        return [Event(text, text[6:-2], is_plain=True)] if text.startswith(b"data: ") else None
    events = []
    for line in text[:-2].split(b"\n\n"):
        if not line.startswith(b"data: ") or b"\n" in line:
            return None
        events.append(Event(line + b"\n\n", line[6:], is_plain=True))
    return events


def _event(raw: bytes) -> Event:
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return Event(raw, raw[6:-2], is_plain=True)
    usual = _USUAL.fullmatch(raw)
    if usual:
        name, said = usual.groups()
        return Event(raw, said, name.decode("utf-8", "replace")) if name else Event(raw, said)
    lines = b"\n" + (raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw)
    data = _values(lines, b"\ndata")
    names = _values(lines, b"\nevent")
    return Event(raw, b"\n".join(data) if data else None, names[-1].decode("utf-8", "replace") if names else "")


def _values(lines: bytes, field: bytes) -> list[bytes]:
    """The values of a field, which comes with the line feed before it."""
    values = []
    at = lines.find(field)
    while at >= 0:
        begin, end = at + len(field), lines.find(b"\n", at + 1)
        if begin == end:
            values.append(b"")
        elif lines.startswith(b":", begin):
            values.append(lines[begin + (2 if lines.startswith(b" ", begin + 1) else 1) : end])
        at = lines.find(field, end)
    return values


def with_data(event: Event, data: bytes) -> bytes:
    """The event's bytes with other data, which has no line breaks; its other lines stay as they are."""
    if event.is_plain:
        return data_event(data)
    lines: list[bytes] = []
    placed = False
    for match in _LINE.finditer(event.raw):
        line = match[0]
        text = line.rstrip(b"\r\n")
        if text != b"data" and not text.startswith(b"data:"):
            lines.append(line)
        elif not placed:
            placed = True
            lines.append(b"data: " + data + line[len(text) :])
    return b"".join(lines)


def data_event(data: bytes) -> bytes:
    """An event with this data, which has no line breaks."""
    return b"data: " + data + b"\n\n"


KEEP_ALIVE: Final = b": keep-alive\n\n"
DONE: Final = data_event(b"[DONE]")
