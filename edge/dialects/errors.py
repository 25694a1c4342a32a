"""How an error is told in each dialect, as an answer and within a stream.

Anthropic's shape is `{"type": "error", "error": {"type", "message"}, "request_id"}`, with the types that
https://docs.anthropic.com/en/api/errors lists; `code` and `param` are ours, beside them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from edge.dialects.translator import named_event
from edge.errors import EdgeError
from edge.v1.sse import DONE, data_event

_encode = msgspec.json.Encoder().encode
_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error_body(error: EdgeError, request_id: str | None = None) -> bytes:
    """The JSON answer; its status is the error's own."""
    return _encode({"type": "error", **_fields(error, request_id)})


def chat_failure(error: EdgeError) -> bytes:
    """The error in a stream of chat completions or completions, and the marker of the end."""
    return data_event(error.body()) + DONE


def messages_failure(error: EdgeError, request_id: str | None = None) -> bytes:
    """The error as the event that ends a message."""
    return named_event("error", _fields(error, request_id))


def responses_failure(error: EdgeError, number: int = 0) -> bytes:
    """The error as an event of a response, at its place in the stream."""
    return named_event(
        "error", {"sequence_number": number, "code": error.code, "message": error.message, "param": error.param}
    )


def _fields(error: EdgeError, request_id: str | None) -> dict[str, object]:
    kind = _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    said = {"type": kind, "message": error.message, "code": error.code, "param": error.param}
    return {"error": said} if request_id is None else {"error": said, "request_id": request_id}
