"""The one table of HTTP errors: every code that a client can get, its status and type, and where it comes from.

The shape is OpenAI's, on `/v1` and `/api` alike: `{"error": {"message", "type", "param", "code"}}`.
"""

from collections.abc import Mapping
from typing import Final

import grpc
import msgspec

from kit.errors import RemoteError

_INVALID = "invalid_request_error"
_QUOTA = "insufficient_quota"
_UPSTREAM = "upstream_error"
_SERVER = "server_error"
_RATE = "rate_limit_error"

# Code -> (HTTP status, type). Codes and types are a promise to clients; messages are not.
TABLE: Final[Mapping[str, tuple[int, str]]] = {
    # What the request says.
    "invalid_body": (400, _INVALID),
    "invalid_parameter": (400, _INVALID),
    "invalid_amount": (400, _INVALID),
    "invalid_email": (400, _INVALID),
    "invalid_password": (400, _INVALID),
    "wrong_password": (400, _INVALID),
    "reason_required": (400, _INVALID),
    "max_cost_too_low": (400, _INVALID),
    "request_too_large": (413, _INVALID),
    "unsupported_media_type": (415, _INVALID),
    "method_not_allowed": (405, _INVALID),
    # Who asks.
    "invalid_api_key": (401, _INVALID),
    "invalid_session": (401, _INVALID),
    "invalid_credentials": (401, _INVALID),
    "admin_required": (403, _INVALID),
    "cross_site_request": (403, _INVALID),
    "api_key_inactive": (403, _INVALID),
    "model_not_allowed": (403, _INVALID),
    # What is asked for.
    "model_not_found": (404, _INVALID),
    "endpoint_not_supported": (404, _INVALID),
    "not_found": (404, _INVALID),
    "user_not_found": (404, _INVALID),
    "session_not_found": (404, _INVALID),
    "api_key_not_found": (404, _INVALID),
    "account_not_found": (404, _INVALID),
    "plan_not_found": (404, _INVALID),
    "upstream_not_found": (404, _INVALID),
    "usage_not_found": (404, _INVALID),
    "email_taken": (409, _INVALID),
    "model_exists": (409, _INVALID),
    "last_admin": (409, _INVALID),
    "insufficient_funds": (409, _INVALID),
    "too_many_api_keys": (409, _INVALID),
    "idempotency_key_in_use": (409, _INVALID),
    "idempotency_key_reused": (422, _INVALID),
    # What it costs, and how often.
    "insufficient_credits": (402, _QUOTA),
    "key_limit_reached": (402, _QUOTA),
    "rate_limit_exceeded": (429, _RATE),
    "credits_in_use": (429, _RATE),
    # What stands behind us.
    "upstream_failed": (502, _UPSTREAM),
    "upstream_unconfigured": (503, _UPSTREAM),
    "upstream_unavailable": (503, _UPSTREAM),
    "upstream_timeout": (504, _UPSTREAM),
    "service_unavailable": (503, _SERVER),
    "internal_error": (500, _SERVER),
}

# (domain, reason) of a service's error -> code. A test holds it against the enums of all four contracts.
REMOTE: Final[Mapping[tuple[str, str], str]] = {
    ("auth.privaterouter", "EMAIL_TAKEN"): "email_taken",
    ("auth.privaterouter", "INVALID_EMAIL"): "invalid_email",
    ("auth.privaterouter", "INVALID_PASSWORD"): "invalid_password",
    ("auth.privaterouter", "INVALID_CREDENTIALS"): "invalid_credentials",
    ("auth.privaterouter", "SESSION_ENDED"): "invalid_session",
    ("auth.privaterouter", "WRONG_PASSWORD"): "wrong_password",
    ("auth.privaterouter", "SESSION_NOT_FOUND"): "session_not_found",
    ("auth.privaterouter", "USER_NOT_FOUND"): "user_not_found",
    ("auth.privaterouter", "API_KEY_NOT_FOUND"): "api_key_not_found",
    ("auth.privaterouter", "TOO_MANY_API_KEYS"): "too_many_api_keys",
    ("auth.privaterouter", "VIRTUAL_KEY_REFUSED"): "upstream_unconfigured",
    ("auth.privaterouter", "VIRTUAL_KEYS_OFF"): "upstream_unconfigured",
    ("auth.privaterouter", "LAST_ADMIN"): "last_admin",
    ("auth.privaterouter", "TOO_BUSY"): "service_unavailable",
    ("catalog.privaterouter", "MODEL_NOT_FOUND"): "model_not_found",
    ("catalog.privaterouter", "MODEL_EXISTS"): "model_exists",
    ("catalog.privaterouter", "PLAN_NOT_FOUND"): "plan_not_found",
    ("catalog.privaterouter", "UPSTREAM_NOT_FOUND"): "upstream_not_found",
    ("catalog.privaterouter", "INVALID_PRICE"): "invalid_amount",
    ("catalog.privaterouter", "INVALID_VALUE"): "invalid_parameter",
    ("billing.privaterouter", "ACCOUNT_NOT_FOUND"): "account_not_found",
    ("billing.privaterouter", "INVALID_AMOUNT"): "invalid_amount",
    ("billing.privaterouter", "INSUFFICIENT_FUNDS"): "insufficient_funds",
    ("billing.privaterouter", "PLAN_NOT_FOUND"): "plan_not_found",
    ("billing.privaterouter", "IDEMPOTENCY_KEY_REUSED"): "idempotency_key_reused",
    ("billing.privaterouter", "REASON_REQUIRED"): "reason_required",
    ("usage.privaterouter", "USAGE_NOT_FOUND"): "usage_not_found",
    ("usage.privaterouter", "INVALID_FILTER"): "invalid_parameter",
    ("kit.privaterouter", "INVALID_ARGUMENT"): "invalid_parameter",
    ("kit.privaterouter", "UNAVAILABLE"): "service_unavailable",
    ("kit.privaterouter", "CALLER_NOT_ALLOWED"): "service_unavailable",
    ("kit.privaterouter", "INTERNAL"): "internal_error",
}

_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_encoder = msgspec.json.Encoder()


class EdgeError(Exception):
    """A failure to answer a client with; `code` is a key of TABLE.

    `param` names the offending field of the request, `headers` are added to the answer.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.headers = dict(headers or {})
        self.status, self.type = TABLE[code]

    @property
    def kept_code(self) -> str:
        """The code for logs and records, which keep no word of anybody else's."""
        return self.code if self.code in TABLE else "invalid_body"

    def body(self) -> bytes:
        """The JSON answer."""
        return error_body(self.message, kind=self.type, param=self.param, code=self.code)


def error_body(message: str, *, kind: str, param: str | None, code: str | None) -> bytes:
    """`{"error": {...}}` as JSON; `kind` is its `type`."""
    return _encoder.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def from_remote(error: RemoteError) -> EdgeError:
    """What a client gets to see of a service's error. "Cannot ask" is a 503, never a 401 and never a pass."""
    code = REMOTE.get((error.domain, error.reason))
    if code == "service_unavailable" or (code is None and error.code in _AWAY):
        return unavailable()
    if code is None or code == "internal_error":
        return internal_error()
    return EdgeError(code, _sentence(error.message), param=error.metadata.get("field"))


def _sentence(text: str) -> str:
    """The text as a sentence: services word their errors as the end of one."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def unavailable() -> EdgeError:
    """What is said while a service that must be asked does not answer."""
    return EdgeError(
        "service_unavailable",
        "The service is not able to check this right now. Nothing was charged. Try again in a moment.",
        headers={"retry-after": "1"},
    )


def internal_error() -> EdgeError:
    """What is said of a failure of our own; the log has its cause."""
    return EdgeError("internal_error", "Something went wrong on our side. Try again; it has been logged.")
