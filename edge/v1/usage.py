"""Reads what an upstream says was used. Its numbers are hostile input: what makes no sense is not believed."""

from typing import Final

import msgspec

MAX_TOKENS: Final = 2**40
"""Beyond this a number of tokens is nonsense, whatever the model."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request. Cached and cache-written ones are part of the input, reasoning ones of the output."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_input_tokens: int = 0
    estimated: bool = False


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct):
    """All shapes at once: chat completions say `prompt_tokens`, Responses and Messages `input_tokens`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    total_tokens: int | None = None
    # Anthropic's, which LiteLLM also sets beside prompt_tokens.
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    # DeepSeek's: together they are the prompt.
    prompt_cache_hit_tokens: int | None = None
    prompt_cache_miss_tokens: int | None = None


_decode = msgspec.json.Decoder(_Usage).decode
_decode_loosely = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_CREATION: Final = _CacheCreation()


def read_usage(raw: msgspec.Raw, *, text_delivered: bool) -> Usage | None:
    """The usage in an upstream's `usage` value, of whichever provider's shape; None where it is not to be believed.

    That is: not there, a number missing, not whole, negative or absurd, a total that is not the sum, parts larger
    than their whole, fields that contradict each other, or no output although text came.
    """
    try:
        said = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    usage = _normalise(said)
    if usage is None or (text_delivered and usage.output_tokens == 0):
        return None
    return usage


def _normalise(said: _Usage) -> Usage | None:
    chat = said.prompt_tokens is not None
    given, output = (said.prompt_tokens, said.completion_tokens) if chat else (said.input_tokens, said.output_tokens)
    cached, written, reasoning = _cached(said, chat=chat), _written(said, chat=chat), _reasoning(said, chat=chat)
    output = output or 0
    if given is None or not _are_counts(given, output, cached, written, reasoning):
        return None
    if not chat and _is_beside(said, given + output):
        given += cached + written
    if said.total_tokens == given + output + reasoning:
        # Some count the reasoning beside the output instead of inside (xAI does); the total proves it.
        output += reasoning
    usage = Usage(given, output, cached, reasoning, written)
    return usage if _makes_sense(said, usage) else None


def _makes_sense(said: _Usage, usage: Usage) -> bool:
    missed = said.prompt_cache_miss_tokens
    return (
        usage.input_tokens <= MAX_TOKENS
        and usage.output_tokens <= MAX_TOKENS
        and usage.cached_input_tokens + usage.cache_write_input_tokens <= usage.input_tokens
        and usage.reasoning_tokens <= usage.output_tokens
        and said.total_tokens in (None, usage.input_tokens + usage.output_tokens)
        and missed in (None, usage.input_tokens - usage.cached_input_tokens)
    )


def merge_usage(earlier: msgspec.Raw, later: msgspec.Raw) -> msgspec.Raw:
    """Both as one: of a field that both have the later, unless that is null. Messages tell usage in two events."""
    try:
        fields = _decode_loosely(earlier)
        fields |= {name: value for name, value in _decode_loosely(later).items() if bytes(value) != b"null"}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return later
    return msgspec.Raw(msgspec.json.encode(fields))


def _is_beside(said: _Usage, sum_inside: int) -> bool:
    """Whether cached tokens are told beside `input_tokens`, as Anthropic does, and not inside, as OpenAI does."""
    return said.input_tokens_details is None and said.total_tokens != sum_inside


def _cached(said: _Usage, *, chat: bool) -> int:
    details = (said.prompt_tokens_details if chat else said.input_tokens_details) or _NO_INPUT_DETAILS
    return _agreed(details.cached_tokens, said.cache_read_input_tokens, said.prompt_cache_hit_tokens)


def _written(said: _Usage, *, chat: bool) -> int:
    details = (said.prompt_tokens_details if chat else said.input_tokens_details) or _NO_INPUT_DETAILS
    creation = said.cache_creation or _NO_CREATION
    parts = (creation.ephemeral_5m_input_tokens or 0, creation.ephemeral_1h_input_tokens or 0)
    if not _are_counts(*parts):
        return -1
    return _agreed(
        details.cache_creation_tokens, details.cache_write_tokens, said.cache_creation_input_tokens, sum(parts)
    )


def _reasoning(said: _Usage, *, chat: bool) -> int:
    details = said.completion_tokens_details if chat else said.output_tokens_details
    return (details and details.reasoning_tokens) or 0


def _agreed(*said: int | None) -> int:
    """The number in fields that mean the same; 0 is as good as nothing. Where they differ -1, which nobody believes."""
    numbers = {number for number in said if number}
    if len(numbers) > 1:
        return -1
    return numbers.pop() if numbers else 0


def _are_counts(*numbers: int) -> bool:
    return all(0 <= number <= MAX_TOKENS for number in numbers)
