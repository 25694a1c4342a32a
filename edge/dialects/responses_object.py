"""The response object of OpenAI's Responses: what it repeats of its request, its usage and its error."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.dialects.translator import About
from edge.errors import EdgeError
from edge.v1.usage import Usage

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_names = msgspec.json.Decoder(list[object]).decode
LOGPROBS: Final = "message.output_text.logprobs"
"""The value of `include` that asks for logprobs."""
# What a response says where the request says nothing; what is not here, it does not repeat.
_DEFAULTS: Final[dict[str, object]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


class Echo:
    """Makes the response objects of one request."""

    def __init__(self, about: About, body: bytes) -> None:
        said = {name: raw for name, raw in _decode(body).items() if bytes(raw) != b"null"}
        self.shows_logprobs = LOGPROBS in _decode_names(said.get("include", b"[]"))
        self._head: dict[str, object] = {
            "id": about.make_id("resp"),
            "object": "response",
            "created_at": about.created_s,
            "model": about.public_name,
        }
        self._tail: dict[str, object] = {name: said.get(name, value) for name, value in _DEFAULTS.items()}
        # Nothing is ever stored, and nothing runs in the background.
        self._tail |= {"background": False, "previous_response_id": None, "store": False}

    def response(
        self,
        status: str,
        *,
        output: Sequence[object] = (),
        error: object = None,
        incomplete_details: object = None,
        usage: object = None,
    ) -> dict[str, object]:
        """The response in this state."""
        return {
            **self._head,
            "status": status,
            "error": error,
            "incomplete_details": incomplete_details,
            "output": output,
            "usage": usage,
            **self._tail,
        }


def show_usage(usage: Usage) -> dict[str, object]:
    """The usage as a response says it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def failed_error(error: EdgeError) -> dict[str, object]:
    """The error in a failed response. Its codes are a closed list, which ours are not on."""
    code = "rate_limit_exceeded" if error.status == 429 else "server_error"
    return {"code": code, "message": error.message}
