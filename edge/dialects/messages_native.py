"""An upstream that speaks Anthropic's Messages itself: its bytes pass through, but for the model's name."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from edge.dialects.errors import messages_failure
from edge.dialects.messages_answer import STOP_REASONS, block_stop, ending, show_usage
from edge.dialects.messages_inputs import Block, Source, read_messages
from edge.dialects.native import rename_within
from edge.dialects.translator import About
from edge.errors import EdgeError
from edge.v1.answers import Choice, Chunk, Delta
from edge.v1.inputs import ChatInputs, Link, Message, Part
from edge.v1.renaming import rename
from edge.v1.sse import Event, with_data
from edge.v1.usage import Usage, merge_usage

_NULL: Final = msgspec.Raw(b"null")
# Chat's words for Anthropic's stop reasons, under which all dialects are noted.
_FINISH: Final = {
    "stop_sequence": "stop",
    "model_context_window_exceeded": "length",
    **{theirs: ours for ours, theirs in STOP_REASONS.items() if ours != "function_call"},
}


class _Piece(msgspec.Struct):
    """A block, or a delta, of an answer: what of it a model has made."""

    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    name: str = ""
    stop_reason: str | None = None
    input: msgspec.Raw = _NULL


class _Message(msgspec.Struct):
    """A whole answer, or the message that an event begins."""

    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = _NULL


class _Said(_Message):
    """An event, or a whole answer."""

    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: msgspec.Raw = _NULL
    delta: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class _NativeChunk(Chunk):
    """What an event says. `kind` is its type, `block` the number of the block that it is about."""

    kind: str = ""
    block: int = 0


_decode = msgspec.json.Decoder(_Said).decode
_decode_piece = msgspec.json.Decoder(_Piece).decode


def check_messages(body: bytes) -> ChatInputs:
    """What bounds the cost of a request to an upstream that speaks Messages. EdgeError `invalid_body`.

    It may ask for more than can be translated; only what is stored, and tools that run elsewhere, can't be had.
    """
    request, top = read_messages(body)
    found = (url for turn in request.messages if isinstance(turn.content, list) for url in _images(turn.content))
    parts: list[Part | str] = [Part(image_url=Link(url)) for url in found]
    return ChatInputs(
        model=request.model,
        stream=request.stream,
        max_tokens=request.max_tokens,
        tools=top.get("tools", _NULL),
        response_format=top.get("output_config", top.get("output_format", _NULL)),
        messages=[Message(role="user", content=parts)],
    )


def _images(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if block.type == "image" and isinstance(block.source, Source):
            yield block.source.url or block.source.data or ""
        if isinstance(block.content, list):
            yield from _images(block.content)


class MessagesNative:
    """Passes one answer on. The event that ends a stream waits for `end`."""

    repeats = None

    def __init__(self, about: About) -> None:
        self._about = about
        self._usage = _NULL
        self._open: int | None = None
        self._has_stopped = False
        self._last = b""
        self.over = False

    def read(self, data: bytes) -> Chunk:
        """What an event or whole answer says. ValueError where it can't be read."""
        try:
            said = _decode(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if said.type == "message" or not said.type:
            return _read_whole(said)
        chunk = _NativeChunk(kind=said.type, block=said.index, error=said.error)
        if said.type == "message_start" and said.message is not None:
            # It tells the input and no output yet: no usage to charge by, until `message_delta` has told the rest.
            self._usage = said.message.usage
            chunk.model = said.message.model
        elif said.type == "message_delta":
            chunk.usage = said.usage if bytes(said.usage) == b"null" else merge_usage(self._usage, said.usage)
            reason = _read_piece(said.delta).stop_reason
            if reason is not None:
                chunk.choices = [Choice(finish_reason=_FINISH.get(reason, reason))]
        elif said.type in {"content_block_start", "content_block_delta"}:
            text = _made(_read_piece(said.content_block if said.type == "content_block_start" else said.delta))
            if text:
                chunk.choices = [Choice(delta=Delta(content=text))]
        self.over = self.over or said.type == "message_stop"
        return chunk

    def whole(self, body: bytes, chunk: Chunk) -> bytes:
        """The message under the public name."""
        return rename(body, chunk, self._about.public_name)

    def event(self, event: Event, chunk: Chunk) -> bytes:
        """The event under the public name; the one that ends the stream is kept for `end`."""
        if event.data is None or not isinstance(chunk, _NativeChunk):
            return event.raw
        if chunk.kind == "message_start" and chunk.model is not None:
            return with_data(event, rename_within(event.data, "message", self._about.public_name))
        if chunk.kind == "message_stop":
            self._last = event.raw
            return b""
        if chunk.kind == "content_block_start":
            self._open = chunk.block
        elif chunk.kind == "content_block_stop":
            self._open = None
        elif chunk.kind == "message_delta":
            self._has_stopped = True
        return event.raw

    def cut(self, chunk: Chunk, unfinished: Sequence[int]) -> bytes:
        """The end of the block that is open; `end` says that the limit was reached."""
        if self._open is None:
            return b""
        block, self._open = self._open, None
        return block_stop(block)

    def end(self, usage: Usage) -> bytes:
        """What ends the message, as far as the upstream has not said it."""
        if self._last or self._has_stopped:
            return self._last or ending(None, show_usage(usage))
        return ending({"stop_reason": "max_tokens", "stop_sequence": None}, show_usage(usage))

    def failure(self, error: EdgeError) -> bytes:
        """The error, which ends the stream."""
        return messages_failure(error, self._about.request_id)


def _read_whole(said: _Said) -> _NativeChunk:
    finish = None if said.stop_reason is None else _FINISH.get(said.stop_reason, said.stop_reason)
    text = "".join(_made(_read_piece(raw)) for raw in said.content or ())
    return _NativeChunk(
        model=said.model,
        usage=said.usage,
        error=said.error,
        choices=[] if said.content is None else [Choice(message=Delta(content=text), finish_reason=finish)],
    )


def _read_piece(raw: msgspec.Raw) -> _Piece:
    """A block or delta; one of a shape that is not known is what it says as a whole."""
    try:
        return _decode_piece(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Piece(text="" if bytes(raw) == b"null" else bytes(raw).decode("utf-8", "replace"))


def _made(piece: _Piece) -> str:
    arguments = bytes(piece.input)
    own = "" if arguments in {b"null", b"{}"} else arguments.decode("utf-8", "replace")
    return piece.text + piece.thinking + piece.partial_json + piece.name + own
