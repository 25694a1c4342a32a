"""What the edge reads of an upstream's answers, whole and in chunks, and its own count of their tokens.

Each answer counts the larger of its deltas that carry text, reasoning or tool arguments, and a fifth of their bytes.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

_NULL: Final = msgspec.Raw(b"null")
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""Any escape in a JSON string; the group is half of a character (a surrogate) without its other half."""
_SOMETHING_IN_A_LIST: Final = re.compile(rb"\[\s*[^\s\]]")


class Function(msgspec.Struct):
    """A tool call's function, or a piece of it."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A tool call, or a piece of it."""

    function: Function | None = None


class Delta(msgspec.Struct):
    """What a chunk adds to an answer, or a whole message."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[ToolCall] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct):
    """One answer, or a piece of it."""

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """A chunk of a stream, or a whole answer."""

    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: Sequence[Choice] | None = None
    data: msgspec.Raw = _NULL
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL

    @property
    def has_vectors(self) -> bool:
        """Whether it is a list of embeddings."""
        return _SOMETHING_IN_A_LIST.match(self.data) is not None

    @property
    def has_usage(self) -> bool:
        """Whether it says what was used."""
        return self.usage is not _NULL and bytes(self.usage) != b"null"

    @property
    def has_error(self) -> bool:
        """Whether it is an error in the place of an answer."""
        return self.error is not _NULL and bytes(self.error) != b"null"


class _OddChoice(msgspec.Struct):
    """A choice whose text has another shape: a list of parts (Mistral), arguments that are an object (Ollama)."""

    index: int | None = None
    finish_reason: str | None = None


_decode = msgspec.json.Decoder(Chunk).decode
_decode_loosely = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_odd_choices = msgspec.json.Decoder(list[_OddChoice]).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_chunk(data: bytes) -> Chunk:
    """A chunk or whole answer. ValueError where it is no JSON object.

    An object with choices of another shape is kept for the rest; each choice counts as one delta without text. Servers
    that cut text between the halves of a character (in UTF-16) are understood: half a character is read as U+FFFD.
    """
    try:
        return _decode(data)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        whole = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)
        if whole == data:
            raise ValueError(f"no JSON: {error}") from None
        return read_chunk(whole)
    try:
        fields = _decode_loosely(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no JSON object: {error}") from None
    return Chunk(
        model=_text(fields.get("model", _NULL)),
        choices=_odd_choices(fields["choices"]) if "choices" in fields else None,
        data=fields.get("data", _NULL),
        usage=fields.get("usage", _NULL),
        error=fields.get("error", _NULL),
    )


def _odd_choices(raw: msgspec.Raw) -> list[Choice]:
    try:
        odd = _decode_odd_choices(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        odd = [_OddChoice()]
    unread = Delta(content=" ")
    return [Choice(index=choice.index or 0, delta=unread, finish_reason=choice.finish_reason) for choice in odd]


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return _decode_text(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _Said:
    """What was said of one answer so far."""

    __slots__ = ("characters", "deltas", "size", "tokens")

    def __init__(self) -> None:
        self.deltas = self.characters = self.size = self.tokens = 0


class Counter:
    """Our own count of the output of one request, over all of its answers."""

    __slots__ = ("_said", "output_tokens")

    def __init__(self) -> None:
        self._said: dict[int, _Said] = {}
        self.output_tokens = 0
        """Tokens so far."""

    def add(self, choice: Choice) -> None:
        """Counts one delta, or one whole answer."""
        added = said_by(choice)
        if not added:
            return
        size = len(added) if added.isascii() else len(added.encode("utf-8", "surrogatepass"))
        self.add_deltas(choice.index, 1, len(added), size)

    def add_deltas(self, index: int, deltas: int, characters: int, size: int) -> None:
        """Counts deltas of one answer; `size` is the bytes of their text in UTF-8."""
        said = self._said.get(index)
        if said is None:
            said = self._said[index] = _Said()
        said.deltas += deltas
        said.characters += characters
        said.size += size
        tokens = max(said.deltas, said.size // 5)
        self.output_tokens += tokens - said.tokens
        said.tokens = tokens

    def is_more_than(self, output_tokens: int) -> bool:
        """Whether there are several answers, and together they are too long for this many tokens.

        llama.cpp tells the usage of one of them (docs/decisions/0013). The least that text takes is a token for each
        delta, or for five characters: in letters of two or three bytes a token often has ten bytes, but nowhere that
        many characters. A quarter is left for a server that cuts its text elsewhere.
        """
        if len(self._said) < 2:
            return False
        least = sum(max(said.deltas, said.characters // 5) for said in self._said.values())
        return 4 * output_tokens < 3 * least


def said_by(choice: Choice) -> str:
    """Everything in it that an upstream counts as output."""
    said = choice.text or ""
    if choice.delta is not None:
        said += _said_in(choice.delta)
    if choice.message is not None:
        said += _said_in(choice.message)
    return said


def _said_in(delta: Delta) -> str:
    said = delta.content or ""
    if delta.refusal or delta.reasoning_content or delta.reasoning:
        said += f"{delta.refusal or ''}{delta.reasoning_content or ''}{delta.reasoning or ''}"
    if delta.tool_calls or delta.function_call:
        functions = [*(call.function for call in delta.tool_calls or ()), delta.function_call]
        said += "".join(f"{each.name or ''}{each.arguments or ''}" for each in functions if each is not None)
    return said
