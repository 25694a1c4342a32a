"""What the edge reads of a request: its types, and the checks that need them. All else passes through."""

import re
from typing import Final, TypeVar

import msgspec

from edge.errors import EdgeError

MAX_ANSWERS: Final = 128
"""The most answers that one request may ask for (`n`, `best_of`), as at OpenAI."""
_NULL: Final = msgspec.Raw(b"null")
_FIELD = re.compile(r"\$\.([A-Za-z_]+)")
_MISSING = re.compile(r"required field `([A-Za-z_]+)`$")


class StreamOptions(msgspec.Struct):
    """`stream_options` of a request."""

    include_usage: bool | None = None


class Link(msgspec.Struct):
    """Content that is named by a URL: `data:` holds it, anything else refers to it."""

    url: str = ""


class File(msgspec.Struct):
    """A file: its bytes, or the id of one that is stored elsewhere."""

    file_id: str | None = None


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str = ""
    image_url: Link | str | None = None
    video_url: Link | str | None = None
    audio_url: Link | str | None = None
    file: File | None = None
    file_id: str | None = None


class AudioReference(msgspec.Struct):
    """An earlier spoken answer, named by its id."""

    id: str = ""


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[Part | str] | None = None
    audio: AudioReference | None = None


class Inputs(msgspec.Struct):
    """What the edge reads of every inference request."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    tools: msgspec.Raw = _NULL
    functions: msgspec.Raw = _NULL
    response_format: msgspec.Raw = _NULL


class ChatInputs(Inputs, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: list[Message]


class CompletionInputs(Inputs, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | int | list[int]]


class EmbeddingInputs(Inputs, kw_only=True):
    """`POST /v1/embeddings`."""

    input: str | list[str | int | list[int]]


AnyInputs = TypeVar("AnyInputs", bound=Inputs)
AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


def decode(decoder: msgspec.json.Decoder[AnyInputs], body: bytes) -> AnyInputs:
    """The inputs in a body that is a JSON object. EdgeError `invalid_body`, with the field as `param`."""
    inputs = decode_struct(decoder, body)
    _check_numbers(inputs)
    return inputs


def decode_struct(decoder: msgspec.json.Decoder[AnyStruct], body: bytes | msgspec.Raw) -> AnyStruct:
    """What is read of a body that is a JSON object. EdgeError `invalid_body`, with the field as `param`."""
    try:
        return decoder.decode(body)
    except RecursionError:
        raise EdgeError("invalid_body", "The request body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EdgeError("invalid_body", f"The request body can't be read: {error}.") from None


def _invalid(message: str) -> EdgeError:
    missing = _MISSING.search(message)
    if missing and "$" not in message:
        name = missing[1]
        return EdgeError("invalid_body", f"The field {name!r} is missing. Add it to the request body.", param=name)
    field = _FIELD.search(message)
    return EdgeError(
        "invalid_body", f"The request body has a wrong type: {message}.", param=field[1] if field else None
    )


def _check_numbers(inputs: Inputs) -> None:
    for name in ("max_tokens", "max_completion_tokens", "n", "best_of"):
        value: int | None = getattr(inputs, name)
        if value is not None and value < 1:
            raise EdgeError("invalid_body", f"{name!r} must be at least 1.", param=name)
    for name in ("n", "best_of"):
        value = getattr(inputs, name)
        if value is not None and value > MAX_ANSWERS:
            raise EdgeError("invalid_body", f"{name!r} must be at most {MAX_ANSWERS}.", param=name)


def count_items(items: str | list[str | int | list[int]], *, field: str) -> int:
    """How many texts a `prompt` or `input` holds: one text, one array of token ids, or a list of either."""
    if isinstance(items, str):
        return 1
    if not items:
        raise EdgeError("invalid_body", f"{field!r} is empty. Give at least one text.", param=field)
    first = type(items[0])
    if any(type(item) is not first for item in items):
        raise EdgeError("invalid_body", f"{field!r} mixes texts and tokens. Give one kind.", param=field)
    return 1 if first is int else len(items)


def count_images(messages: list[Message]) -> tuple[int, int]:
    """Images of a conversation, and the bytes of their links, which count as images instead of as text.

    EdgeError `invalid_body` for other content that is only referred to: what it costs can't be known beforehand.
    """
    if not messages:
        raise EdgeError("invalid_body", "'messages' is empty. Give at least one message.", param="messages")
    images = link_bytes = 0
    for message in messages:
        if message.audio is not None and message.audio.id:
            raise _reference("audio.id")
        if not isinstance(message.content, list):
            continue
        for part in message.content:
            if isinstance(part, str):
                continue
            _refuse_references(part)
            if part.image_url is not None:
                images += 1
                link_bytes += len(_url(part.image_url))
    return images, link_bytes


def _refuse_references(part: Part) -> None:
    if part.file_id or (part.file is not None and part.file.file_id):
        raise _reference("file_id")
    for name in ("video_url", "audio_url"):
        link: Link | str | None = getattr(part, name)
        if link is not None and not _url(link).startswith("data:"):
            raise _reference(name)


def _url(link: Link | str) -> str:
    return link if isinstance(link, str) else link.url


def _reference(what: str) -> EdgeError:
    return EdgeError(
        "invalid_body",
        f"Content given by reference ({what}) is not supported. Send it inline, as a data: URL or base64.",
        param="messages",
    )
