"""An upstream that speaks OpenAI's Responses itself: its bytes pass through, but for the model's name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from edge.dialects.errors import responses_failure
from edge.dialects.native import rename_within
from edge.dialects.responses_inputs import Item, contents, read_responses
from edge.dialects.responses_object import failed_error, show_usage
from edge.dialects.translator import About, named_event
from edge.errors import EdgeError
from edge.v1.answers import Choice, Chunk, Delta
from edge.v1.inputs import ChatInputs, Link, Message, Part
from edge.v1.renaming import rename
from edge.v1.sse import Event, with_data
from edge.v1.usage import Usage

STATELESS: Final = {"store": b"false"}
"""What a request to an upstream that speaks Responses must say: without it, OpenAI stores the response."""
_NULL: Final = msgspec.Raw(b"null")
_FINISH: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_LAST: Final = frozenset({"response.completed", "response.incomplete"})
_ADDED: Final = "response.output_item.added"
_DONE: Final = "response.output_item.done"


class _Details(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    """A whole answer, or the response that an event is about."""

    model: str | None = None
    status: str | None = None
    error: msgspec.Raw = _NULL
    incomplete_details: _Details | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = _NULL


class _Said(_Response):
    """An event, or a whole answer."""

    type: str = ""
    output_index: int = 0
    delta: msgspec.Raw = _NULL
    response: _Response | None = None
    item: msgspec.Raw = _NULL
    sequence_number: int = 0


class _Text(msgspec.Struct):
    text: str = ""
    refusal: str = ""


class _Item(msgspec.Struct):
    """What an item says that a model has made."""

    type: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    action: msgspec.Raw = _NULL
    operation: msgspec.Raw = _NULL
    content: list[_Text] | None = None
    summary: list[_Text] | None = None


class _NativeChunk(Chunk):
    """What an event says. `kind` is its type, empty for a whole answer; `number` is its place in the stream."""

    kind: str = ""
    number: int = 0
    item: msgspec.Raw = _NULL


_decode = msgspec.json.Decoder(_Said).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def check_responses(body: bytes) -> ChatInputs:
    """What bounds the cost of a request to an upstream that speaks Responses. EdgeError `invalid_body`.

    It may ask for more than can be translated; only what is stored, and tools that run elsewhere, can't be had.
    """
    request, top = read_responses(body)
    parts: list[Part | str] = [Part(image_url=Link(url)) for url in _images(request.input)]
    return ChatInputs(
        model=request.model,
        stream=request.stream,
        max_tokens=request.max_output_tokens,
        tools=top.get("tools", _NULL),
        response_format=top.get("text", _NULL),
        messages=[Message(role="user", content=parts)],
    )


def _images(items: str | list[Item]) -> Iterator[str]:
    for at, item in enumerate(items if isinstance(items, list) else ()):
        for content in contents(item, at):
            if content.image_url is not None:
                yield content.image_url


class ResponsesNative:
    """Passes one answer on. The event that ends a stream waits for `end`."""

    repeats = None

    def __init__(self, about: About) -> None:
        self._about = about
        self._next = 0
        self._last = b""
        self._response: dict[str, msgspec.Raw] = {}
        self._done: list[msgspec.Raw] = []
        self._heard: set[int] = set()
        """Items of which deltas have come: the others are counted when they are done."""
        self.over = False

    def read(self, data: bytes) -> Chunk:
        """What an event or whole answer says. ValueError where it can't be read."""
        try:
            said = _decode(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if said.type == "error":
            # The event is the error itself or, as some say it, has it as a field.
            error = said.error if bytes(said.error) != b"null" else msgspec.Raw(data)
            return _NativeChunk(kind=said.type, error=error, number=said.sequence_number)
        if said.response is not None or not said.type:
            chunk = _read_response(said.response or said, said.type)
            self.over = self.over or said.type in _LAST
        else:
            chunk = self._read_delta(said)
        chunk.number = said.sequence_number
        return chunk

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The response under the public name."""
        return rename(body, chunk, self._about.public_name)

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """The event under the public name; the one that ends the stream is kept for `end`."""
        if event.data is None or not isinstance(chunk, _NativeChunk):
            return event.raw
        self._next = max(self._next, chunk.number + 1)
        if chunk.kind == _DONE:
            self._done.append(chunk.item)
        if chunk.model is None:
            raw = event.raw
        else:
            data = rename_within(event.data, "response", self._about.public_name)
            raw = with_data(event, data)
            if not self._response:
                self._response = _decode_object(_decode_object(data)["response"])
        if chunk.kind in _LAST:
            self._last = raw
            return b""
        return raw

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """Nothing yet: `end` says that the limit was reached."""
        if unfinished:
            self._last = b""
        return b""

    def end(self, usage: Usage) -> bytes:
        """What the upstream said last; where it did not come to that, that the response is incomplete."""
        if self._last:
            return self._last
        reason = {"reason": "max_output_tokens"}
        changes = {"status": "incomplete", "incomplete_details": reason, "usage": show_usage(usage)}
        return self._ending("response.incomplete", changes)

    def failure(self, error: EdgeError) -> bytes:
        """The error, and where a response has begun, that it failed."""
        said = responses_failure(error, self._next)
        self._next += 1
        if not self._response:
            return said
        return said + self._ending("response.failed", {"status": "failed", "error": failed_error(error)})

    def _read_delta(self, said: _Said) -> _NativeChunk:
        """What an event adds to the answer: a delta of any kind, the name of a call, or an item that came at once."""
        chunk = _NativeChunk(kind=said.type, item=said.item)
        text = ""
        if said.type.endswith(".delta"):
            self._heard.add(said.output_index)
            try:
                text = _decode_text(said.delta)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                text = " "
        elif said.type == _ADDED:
            self._heard.discard(said.output_index)
            text = _read_item(said.item).name
        elif said.type == _DONE and said.output_index not in self._heard:
            text = _made_beside_name(_read_item(said.item))
        if text:
            chunk.choices = [Choice(delta=Delta(content=text))]
        return chunk

    def _ending(self, name: str, changes: Mapping[str, object]) -> bytes:
        """An event about the response as it was last heard of, with the items that were complete by then."""
        response = {**self._response, "output": self._done, **changes}
        return named_event(name, {"sequence_number": self._next, "response": response})


def _read_response(said: _Response, kind: str) -> _NativeChunk:
    """What a response says; its output only where it is the whole answer: in a stream, the deltas have said it.

    Without an output it is no whole answer, whatever else it says.
    """
    error = said.error
    if kind == "response.failed" and bytes(error) == b"null":
        error = msgspec.Raw(b"{}")
    chunk = _NativeChunk(model=said.model, kind=kind, usage=said.usage, error=error)
    if kind not in _LAST and (kind or said.output is None):
        return chunk
    items = [_read_item(raw) for raw in said.output or ()]
    finish = "tool_calls" if any(item.name or item.type.endswith("_call") for item in items) else "stop"
    if said.status == "incomplete" or kind == "response.incomplete":
        reason = (said.incomplete_details and said.incomplete_details.reason) or ""
        finish = _FINISH.get(reason, "length")
    message = None if kind else Delta(content="".join(map(_made, items)))
    chunk.choices = [Choice(message=message, finish_reason=finish)]
    return chunk


def _read_item(raw: msgspec.Raw) -> _Item:
    """An item; one of a shape that is not known is what it says as a whole."""
    try:
        return _decode_item(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Item(input=bytes(raw).decode("utf-8", "replace"))


def _made(item: _Item) -> str:
    return item.name + _made_beside_name(item)


def _made_beside_name(item: _Item) -> str:
    texts = [*(item.content or ()), *(item.summary or ())]
    # What a shell or a patch is to do is an object, and has no arguments.
    objects = b"".join(bytes(raw) for raw in (item.action, item.operation) if bytes(raw) != b"null")
    said = item.arguments + item.input + "".join(text.text + text.refusal for text in texts)
    return said + objects.decode("utf-8", "replace")
