"""What stands between an upstream and a client: reads what the one says, and says it in the other's dialect."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from edge.errors import EdgeError
from edge.v1.answers import Chunk, Counter
from edge.v1.repeats import Repeats
from edge.v1.sse import Event
from edge.v1.usage import Usage, read_usage

_encode: Final = msgspec.json.Encoder().encode


class About(msgspec.Struct, frozen=True):
    """What every translator knows of its request; `prompt_estimate` stands in where the upstream gives no usage."""

    request_id: str
    public_name: str
    created_s: int
    prompt_estimate: int = 0

    def make_id(self, prefix: str, number: int | None = None) -> str:
        """An id of this request, or of the numbered part of its answer."""
        own = self.request_id.replace("-", "")
        return f"{prefix}_{own}" if number is None else f"{prefix}_{own}{number:02x}"


class Translator(Protocol):
    """One for each attempt at a request.

    For a stream: `read` and `event` for each event with data, in turn; then `end`, after `cut` where we end the answer;
    or `failure` in the place of both. For a whole answer: `read`, then `whole`.
    """

    @property
    def over(self) -> bool:
        """Whether the upstream has said its last, so that nothing after it need be waited for."""

    @property
    def repeats(self) -> Repeats | None:
        """The events of its stream that need not be given to it. None: it has to see each."""

    def read(self, data: bytes) -> Chunk:
        """What an event, or a whole answer, says. ValueError where that can't be read."""

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The whole answer in the client's dialect, `chunk` being what `read` gave for it."""

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """What the client gets for an event of the upstream: no, one or several events."""

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """What ends these answers at the output limit; they are none where the last chunk had ended them all."""

    def end(self, usage: Usage) -> bytes:
        """The last piece of the stream, with the usage that is charged."""

    def failure(self, error: EdgeError) -> bytes:
        """The error in a stream, and what ends the stream after it."""


def usage_of(chunk: Chunk, about: About) -> Usage:
    """The usage to show on a whole answer: the upstream's where it is to be believed, else our count."""
    counter = Counter()
    for choice in chunk.choices or ():
        counter.add(choice)
    output = counter.output_tokens
    said = read_usage(chunk.usage, text_delivered=output > 0) if chunk.has_usage else None
    return said or Usage(about.prompt_estimate, output, estimated=True)


def named_event(name: str, fields: dict[str, object]) -> bytes:
    """A server-sent event that is named, in its `event` line and in its data, as both dialects have it."""
    data = _encode({"type": name, **fields})
    if b"\n" in data or b"\r" in data:
        # What was copied from the client's JSON may have line breaks, between values only.
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
