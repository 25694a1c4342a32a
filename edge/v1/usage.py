"""Reads what an upstream says was used. Its numbers are hostile input: what makes no sense is not believed."""

from dataclasses import dataclass
from typing import Final

import msgspec

MAX_TOKENS: Final = 2**40
"""Beyond this a number of tokens is nonsense, whatever the model."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. Cached and cache-written ones are part of the input, reasoning ones of the output."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_input_tokens: int = 0
    estimated: bool = False


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


_decode = msgspec.json.Decoder(_Usage).decode


def read_usage(raw: msgspec.Raw, *, text_delivered: bool) -> Usage | None:
    """The usage in an upstream's `usage` value; None where it is not to be believed.

    That is: not there, a number missing, not whole, negative or absurd, a total that is not the sum, parts larger
    than their whole, or no output although text came.
    """
    try:
        said = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    output = said.completion_tokens or 0
    cached = (said.prompt_tokens_details and said.prompt_tokens_details.cached_tokens) or 0
    reasoning = (said.completion_tokens_details and said.completion_tokens_details.reasoning_tokens) or 0
    if not (0 <= said.prompt_tokens <= MAX_TOKENS and 0 <= output <= MAX_TOKENS):
        return None
    if said.total_tokens is not None and said.total_tokens != said.prompt_tokens + output:
        return None
    if not (0 <= cached <= said.prompt_tokens and 0 <= reasoning <= output):
        return None
    if text_delivered and output == 0:
        return None
    return Usage(said.prompt_tokens, output, cached, reasoning)
