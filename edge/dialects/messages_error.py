"""Our errors in Anthropic's shape: `{"type": "error", "error": {"type", "message", "code", "param"}, "request_id"}`.

https://docs.anthropic.com/en/api/errors lists the types; `code` and `param` are ours, beside them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from edge.dialects.translator import named_event
from edge.errors import EdgeError

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


def anthropic_error_event(error: EdgeError, request_id: str | None = None) -> bytes:
    """The error as the event that ends a stream."""
    return named_event("error", _fields(error, request_id))


def _fields(error: EdgeError, request_id: str | None) -> dict[str, object]:
    kind = _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "api_error")
    said = {"type": kind, "message": error.message, "code": error.code, "param": error.param}
    return {"error": said} if request_id is None else {"error": said, "request_id": request_id}
