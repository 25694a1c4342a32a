"""What a client gets to see when an upstream refuses or fails: never its host, its credential, or its model's name.

But for the one thing that names the model: what installs it where it is missing.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from edge.errors import EdgeError
from edge.upstream import litellm, ollama
from edge.upstream.adapters import Target
from edge.upstream.client import Response, Unreachable, UpstreamError
from kit.ollama import pull_command

# The request itself is at fault: too long, of a wrong schema. All else is between us and the upstream.
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 415, 422})
_MAX_MESSAGE: Final = 2000
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_URL = re.compile(r"\b[a-z]+://[^\s'\"<>]+", re.IGNORECASE)
_KEY = re.compile(r"\bsk-[\w-]{8,}")


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Wrapped(msgspec.Struct):
    error: _Error | str | None = None
    detail: str | None = None
    message: str | None = None


_decode = msgspec.json.Decoder(_Wrapped).decode


class UpstreamRefusal(EdgeError):
    """The upstream's own 4xx about the request, passed on with its status.

    Its code too, where it is a word (`context_length_exceeded`): clients look for OpenAI's; else `invalid_body`.
    """

    def __init__(self, status: int, message: str, *, param: str | None, code: str | int | None) -> None:
        super().__init__("invalid_body", message, param=param)
        self.status = status
        if isinstance(code, str) and _CODE.fullmatch(code):
            self.code = code


class ModelMissing(EdgeError):
    """The upstream lacks the model, so nothing ran: another upstream may have it.

    The client is told what mends it, since on one's own machine it is the operator; where that is to be typed stands
    in the cause, which is for the log.
    """

    def __init__(self, target: Target, public_name: str) -> None:
        model, mend = target.upstream_model, pull_command(target.upstream_model)
        super().__init__(
            "upstream_unconfigured",
            f"The model {public_name!r} is not installed on its server. The operator of this gateway mends that there "
            f"with `{mend}`. Nothing was charged. Use another model until then.",
        )
        self.__cause__ = LookupError(f"{model} is missing on {target.upstream.name}; there: {mend}")


class Misconfigured(EdgeError):
    """The upstream takes for the caller's fault what is the operator's matter; the cause is for the log."""

    def __init__(self, target: Target, why: str) -> None:
        super().__init__(
            "upstream_unconfigured",
            "The model's server is not set up for this request: the operator of this gateway has to look after it. "
            "Nothing was charged. Use another model until then.",
        )
        self.__cause__ = LookupError(f"{target.upstream.name}: {why} ({target.upstream_model})")


def from_failure(error: UpstreamError) -> EdgeError:
    """The answer when no answer came."""
    is_unreachable = isinstance(error, Unreachable)
    answer = unreachable() if is_unreachable else upstream_failed("The model's server broke the connection.")
    answer.__cause__ = error
    return answer


def unreachable() -> EdgeError:
    """The answer when there is nobody to ask."""
    return EdgeError(
        "upstream_unavailable",
        "No server for this model can be reached right now. Nothing was charged. Try again in a moment.",
        headers={"retry-after": "1"},
    )


async def read_all(read: Callable[[], Awaitable[bytes]], most: int) -> bytes:
    """All that `read` gives, up to its end. EdgeError `upstream_failed` where that is longer than `most` bytes."""
    pieces = []
    size = 0
    while piece := await read():
        size += len(piece)
        if size > most:
            raise upstream_failed("The model's server sent an answer without end.")
        pieces.append(piece)
    return b"".join(pieces)


def upstream_failed(what: str) -> EdgeError:
    """The answer when an upstream answered nonsense, 5xx or nothing."""
    return EdgeError("upstream_failed", f"{what} Nothing was charged. Try again.")


def upstream_timeout() -> EdgeError:
    """The answer when an upstream is silent for too long."""
    return EdgeError("upstream_timeout", "The model's server did not answer in time. Nothing was charged. Try again.")


def from_status(response: Response, body: bytes, *, target: Target, public_name: str) -> EdgeError:
    """The answer to an upstream's error status; `body` may be any bytes."""
    status = response.status
    if special := _of_its_kind(status, body, target=target, public_name=public_name):
        return special
    if status in _ABOUT_THE_REQUEST:
        said = read_error(body)
        message, code = said.message or "The model's server refused the request.", said.code
        if target.upstream.kind == "litellm":
            message, code = litellm.cause(message), litellm.code(message) or code
        param = hide(said.param, target, public_name) if said.param else None
        return UpstreamRefusal(status, hide(message, target, public_name), param=param, code=code)
    if status in {401, 403} and target.upstream.kind == "litellm" and target.upstream.virtual_keys:
        return EdgeError(
            "upstream_unconfigured",
            "The upstream does not accept this API key's virtual key. Delete the key and create a new one.",
        )
    # Ollama answers 503 when its queue is full: https://github.com/ollama/ollama/blob/main/docs/faq.mdx
    if status == 429 or (target.upstream.kind == "ollama" and status == 503):
        return EdgeError(
            "upstream_unavailable",
            "The model's servers are busy. Nothing was charged. Try again in a moment.",
            headers={"retry-after": _retry_after(response)},
        )
    if status in {408, 504}:
        return upstream_timeout()
    return upstream_failed("The model's server failed.")


def _of_its_kind(status: int, body: bytes, *, target: Target, public_name: str) -> EdgeError | None:
    """What a status means that only this kind of upstream means so."""
    if target.upstream.kind == "ollama" and ollama.lacks_model(status, read_error(body).message or ""):
        return ModelMissing(target, public_name)
    if target.upstream.kind == "litellm":
        said = read_error(body)
        why = litellm.misconfigured(status, error_type=said.type or "", message=said.message or "")
        return Misconfigured(target, why) if why else None
    return None


def _retry_after(response: Response) -> str:
    said = response.header("retry-after")
    return said if said.isascii() and said.isdigit() and 1 <= int(said[:6]) <= 3600 else "1"


def read_error(body: bytes) -> _Error:
    """The error in an upstream's body, of whichever shape: OpenAI's, Ollama's string, FastAPI's detail."""
    try:
        said = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error()
    if isinstance(said.error, _Error):
        return said.error
    return _Error(message=said.error or said.detail or said.message)


def hide(text: str, target: Target, public_name: str) -> str:
    """The text without what is nobody's business: addresses, the credential, the upstream's name of the model."""
    for secret in (target.upstream.credential, target.headers.get("authorization", "").removeprefix("Bearer ")):
        if secret:
            text = text.replace(secret, "***")
    text = _KEY.sub("***", _URL.sub("***", text))
    host = target.upstream.base_url.partition("://")[2]
    for name in {host, host.partition(":")[0]} - {""}:
        text = text.replace(name, "***")
    if target.upstream.kind == "ollama" and target.upstream_model:
        text = ollama.spoken(target.upstream_model).sub(lambda _: public_name, text)
    elif target.upstream_model:
        text = text.replace(target.upstream_model, public_name)
    return text[:_MAX_MESSAGE]
