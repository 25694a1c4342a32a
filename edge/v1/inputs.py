"""What the edge reads of a request: its types, and the checks that need them. All else passes through."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from edge.errors import EdgeError

MAX_ANSWERS: Final = 128
"""The most answers that one request may ask for (`n`, `best_of`), as at OpenAI."""
MAX_LIMIT: Final = 2**31 - 1
"""A limit of tokens beyond this is no number that anybody means."""
MAX_TOP_LOGPROBS: Final = 20
"""As at OpenAI: each token of an answer comes with so many others."""
MAX_MESSAGES: Final = 10_000
"""Of one request; its messages have no more parts than that among them either."""
MAX_TOOLS: Final = 1000
"""Of one request. OpenAI takes 128."""
MAX_TEXTS: Final = 2048
"""Of one request, as at OpenAI."""
MAX_ANSWERS_IN_ALL: Final = 2048
"""To all prompts of one request together."""
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A token's number in a vocabulary; servers fail on what does not fit their own integers."""
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
    file_data: str | None = None


class Audio(msgspec.Struct):
    """Spoken input."""

    data: str | None = None


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str = ""
    image_url: Link | str | None = None
    video_url: Link | str | None = None
    audio_url: Link | str | None = None
    file: File | None = None
    file_id: str | None = None
    input_audio: Audio | None = None


class Tool(msgspec.Struct):
    """A tool; those without a type are functions."""

    type: str = "function"


class TypedTool(msgspec.Struct):
    """A tool of a dialect in which it need not have a type."""

    type: str | None = None


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
    top_logprobs: int | None = None
    tools: msgspec.Raw = _NULL
    functions: msgspec.Raw = _NULL
    response_format: msgspec.Raw = _NULL


class ChatInputs(Inputs, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: list[Message]


class CompletionInputs(Inputs, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | TokenId | list[TokenId]]
    logprobs: int | bool | None = None


class EmbeddingInputs(Inputs, kw_only=True):
    """`POST /v1/embeddings`."""

    input: str | list[str | TokenId | list[TokenId]]


_CLIENT_TOOLS: Final = frozenset({"function", "custom"})
_DESCRIBED_BY_CLIENT: Final = _CLIENT_TOOLS | {None}
_tools = msgspec.json.Decoder(list[Tool] | None)
_typed_tools = msgspec.json.Decoder(list[TypedTool] | None)
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


def check_limit(name: str, value: int | None) -> None:
    """EdgeError `invalid_body` where a limit of tokens is none."""
    _check_number(name, value, least=1, most=MAX_LIMIT)


def check_top_logprobs(value: int | None, name: str = "top_logprobs") -> None:
    """EdgeError `invalid_body` where more is asked for beside each token than anybody gives."""
    _check_number(name, value, least=0, most=MAX_TOP_LOGPROBS)


def _check_numbers(inputs: Inputs) -> None:
    check_limit("max_tokens", inputs.max_tokens)
    check_limit("max_completion_tokens", inputs.max_completion_tokens)
    _check_number("n", inputs.n, least=1, most=MAX_ANSWERS)
    _check_number("best_of", inputs.best_of, least=1, most=MAX_ANSWERS)
    check_top_logprobs(inputs.top_logprobs)
    if isinstance(inputs, CompletionInputs):
        check_top_logprobs(inputs.logprobs, "logprobs")


def _check_number(name: str, value: int | None, *, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        bound = f"at least {least}" if value < least else f"at most {most}"
        raise EdgeError("invalid_body", f"{name!r} must be {bound}.", param=name)


def check_many(items: Sequence[object], field: str, *, most: int = MAX_MESSAGES) -> None:
    """EdgeError `invalid_body` where a list has more entries than any model takes."""
    if len(items) > most:
        raise EdgeError("invalid_body", f"{field!r} has {len(items)} entries. Send at most {most}.", param=field)


def check_parts(parts: int, field: str) -> None:
    """EdgeError `invalid_body` where the contents of a conversation have more parts than any model takes."""
    if parts > MAX_MESSAGES:
        raise EdgeError("invalid_body", f"{field!r} has {parts} parts. Send at most {MAX_MESSAGES}.", param=field)


def count_answers(inputs: CompletionInputs, prompts: int) -> int:
    """How many answers are made to so many prompts. EdgeError `invalid_body` where they are too many."""
    n, best_of = inputs.n or 1, inputs.best_of or 1
    answers = max(n, best_of) * prompts
    if answers > MAX_ANSWERS_IN_ALL:
        raise EdgeError(
            "invalid_body",
            f"{prompts} prompts would have {answers} answers. Ask for at most {MAX_ANSWERS_IN_ALL} in all.",
            param="n" if n >= best_of else "best_of",
        )
    return answers


def check_tools(inputs: Inputs) -> None:
    """EdgeError `invalid_body` for too many tools, or one that a server would run: it costs what is not in the tokens.

    LiteLLM connects to the servers of tools of the type `mcp`, and asks the model again with what they say.
    """
    tools = _read_tools(inputs.tools, "tools")
    check_many(_read_tools(inputs.functions, "functions"), "functions", most=MAX_TOOLS)
    check_many(tools, "tools", most=MAX_TOOLS)
    for at, tool in enumerate(tools):
        if tool.type not in _CLIENT_TOOLS:
            raise EdgeError(
                "invalid_body",
                f"The tool {tool.type[:64]!r} does not run here. Use tools of the type 'function'.",
                param=f"tools[{at}].type",
            )


def _read_tools(tools: msgspec.Raw, field: str) -> list[Tool]:
    if bytes(tools) == b"null":
        return []
    try:
        return _tools.decode(tools) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise EdgeError(
            "invalid_body", f"{field!r} must be a list of objects, each with its type.", param=field
        ) from None


def count_described_tools(tools: msgspec.Raw) -> int:
    """Tools that are named by their type only, and that a server describes to the model in words of its own."""
    return sum(tool.type not in _DESCRIBED_BY_CLIENT for tool in _typed_tools.decode(tools) or ())


def count_items(items: str | list[str | int | list[int]], *, field: str) -> int:
    """How many texts a `prompt` or `input` holds: one text, one array of token ids, or a list of either."""
    if isinstance(items, str):
        return 1
    if not items:
        raise EdgeError("invalid_body", f"{field!r} is empty. Give at least one text.", param=field)
    first = type(items[0])
    if first is not int and len(items) > MAX_TEXTS:
        raise EdgeError("invalid_body", f"{field!r} has {len(items)} texts. Send at most {MAX_TEXTS}.", param=field)
    if any(type(item) is not first for item in items):
        raise EdgeError("invalid_body", f"{field!r} mixes texts and tokens. Give one kind.", param=field)
    if first is list and not all(items):
        raise EdgeError("invalid_body", f"{field!r} has a list without a token. Leave it out.", param=field)
    return 1 if first is int else len(items)


def count_images(messages: list[Message]) -> tuple[int, int]:
    """Images of a conversation, and the bytes of their links, which count as images instead of as text.

    EdgeError `invalid_body` where it has no message, or more than any model takes.
    """
    if not messages:
        raise EdgeError("invalid_body", "'messages' is empty. Give at least one message.", param="messages")
    check_many(messages, "messages")
    check_parts(sum(len(one.content) for one in messages if isinstance(one.content, list)), "messages")
    images = link_bytes = 0
    for message in messages:
        if not isinstance(message.content, list):
            continue
        for part in message.content:
            if isinstance(part, Part) and part.image_url is not None:
                images += 1
                link_bytes += len(_url(part.image_url))
    return images, link_bytes


def _url(link: Link | str) -> str:
    return link if isinstance(link, str) else link.url
