"""Events that differ from one before them in nothing but their text, as nearly all of a stream do: passed on unparsed.

Looking at all events of a piece at once costs what reading one of them costs, which halves what a stream does.
"""

from typing import NamedTuple

from edge.v1.answers import Chunk, said_by
from edge.v1.sse import Event

_TRIES = 4
"""So many events may turn out to be unlike those before them until no more is learned of this stream."""


class Repeated(NamedTuple):
    """What some events say that are alike."""

    length: int
    """How many bytes they are, of those that were given."""
    told: bytes
    """What the client gets for them."""
    choice: int
    """The index of the answer that they belong to."""
    deltas: int
    characters: int
    size: int
    """Bytes of their text in UTF-8."""

    @property
    def most_tokens(self) -> int:
        """By our own count they cannot be more."""
        return self.deltas + self.size // 5 + 1


class Repeats:
    """What is around the text of an event, as its upstream and as its client has it.

    `field` is the member that has the text, in quotes.
    """

    __slots__ = ("_begin", "_end", "_field", "_index", "_our_begin", "_our_end", "_tries")

    def __init__(self, field: bytes) -> None:
        self._field = field
        self._tries = _TRIES
        self._index = 0
        self._begin = self._end = self._our_begin = self._our_end = b""

    def learn(self, event: Event, chunk: Chunk, told: bytes) -> None:
        """Learns from an event that was read; `told` is what came of it, with the same text in the same field."""
        if not self._tries or (self._begin and event.raw.startswith(self._begin) and event.raw.endswith(self._end)):
            # Where only the text was not as it should be, nothing is to be learned.
            return
        self._tries -= 1
        text = _only_text(chunk)
        # A backslash could hide another member of the same name, or another spelling of the text.
        if not text or not event.is_plain or b"\\" in event.raw:
            return
        theirs, ours = self._around(event.raw, text), self._around(told, text)
        if theirs is None or ours is None:
            return
        self._index = chunk.choices[0].index if chunk.choices else 0
        self._begin, self._end = theirs
        # The same bytes twice would be memory of each open stream.
        self._our_begin, self._our_end = (
            their if their == our else our for their, our in zip(theirs, ours, strict=True)
        )

    @property
    def is_hopeful(self) -> bool:
        """Whether there may be events of this stream that need not be read."""
        return self._tries > 0

    def read(self, events: bytes) -> Repeated | None:
        """What whole events say, as far as they are like the one that was learned. None: the first has to be read."""
        begin, end = self._begin, self._end
        if not begin or not events.startswith(begin):
            return None
        texts = events[len(begin) :].split(end + begin)
        last, found, _ = texts[-1].partition(end)
        texts[-1] = last
        if not found or not _are_plain(texts):
            texts = _plain(texts if found else texts[:-1], end)
            if not texts:
                return None
        joined = b" ".join(texts)
        try:
            said = joined.decode()
        except UnicodeDecodeError:
            return None
        if not said.isprintable():
            return None
        self._tries = _TRIES
        gaps = len(texts) - 1
        size = len(joined) - gaps
        return Repeated(
            length=size + len(texts) * (len(begin) + len(end)),
            told=self._our_begin + (self._our_end + self._our_begin).join(texts) + self._our_end,
            choice=self._index,
            deltas=len(texts),
            characters=len(said) - gaps,
            size=size,
        )

    def _around(self, raw: bytes, text: str) -> tuple[bytes, bytes] | None:
        """What stands before and behind the text, if it stands there once and as it is."""
        if raw.count(self._field) != 1:
            return None
        for colon in (b":", b": "):
            before, found, behind = raw.partition(self._field + colon + b'"' + text.encode() + b'"')
            if found:
                return before + self._field + colon + b'"', b'"' + behind
        return None


def _are_plain(texts: list[bytes]) -> bool:
    """Whether none of them is empty, or has an end of its JSON string or an escape in it."""
    joined = b" ".join(texts)
    return b'"' not in joined and b"\\" not in joined and b"" not in texts


def _plain(texts: list[bytes], end: bytes) -> list[bytes]:
    """The first of them that are plain; behind the last of these may stand its end, and then something else."""
    plain: list[bytes] = []
    for text in texts:
        if not _are_plain([text]):
            before, found, _ = text.partition(end)
            return [*plain, before] if found and _are_plain([before]) else plain
        plain.append(text)
    return plain


def _only_text(chunk: Chunk) -> str:
    """The text of a chunk that says nothing else and ends nothing; empty where it does."""
    if not chunk.choices or len(chunk.choices) != 1 or chunk.has_usage or chunk.has_error:
        return ""
    choice = chunk.choices[0]
    text = (choice.delta.content if choice.delta is not None else choice.text) or ""
    return text if choice.finish_reason is None and said_by(choice) == text else ""
