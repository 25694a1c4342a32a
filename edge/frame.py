"""What every answer outside the hot path gets: a request id, security headers, errors of one shape."""

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from edge.api.wire import AMOUNT_ERROR
from edge.errors import EdgeError, from_remote, internal_error
from edge.etags import tagged
from kit.errors import RemoteError
from kit.ids import IdFactory
from kit.logs import get_logger, request_id

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Set on every answer that does not say otherwise; a page names the styles that it needs."""

log = get_logger()
_answered = Counter("edge_http_requests", "Answers outside the hot path.", ["method", "route", "status"])
_seconds = Histogram("edge_http_request_seconds", "Time to answer outside the hot path.", ["method", "route"])

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def framed(app: Application, scope: Scope, receive: Receive, send: Send, *, ids: IdFactory) -> None:
    """Run `app` for one HTTP request, with an id of its own on the answer, in the log, and on calls to services."""
    known_as = str(ids())
    token = request_id.set(known_as)
    started = time.perf_counter()
    status = 0

    async def send_with_headers(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = known_as
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    try:
        await app(scope, receive, tagged(scope, send_with_headers))
    except Exception:
        # Starlette has answered with a 500 by now and raises it again for the server to see; it is logged here.
        log.exception("request_failed", method=scope["method"], path=scope["path"])
        if not status:
            raise
    finally:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        _answered.labels(method, route, status).inc()
        _seconds.labels(method, route).observe(time.perf_counter() - started)
        _log(scope, status, started)
        request_id.reset(token)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _log(scope: Scope, status: int, started: float) -> None:
    theirs = next((value for name, value in scope["headers"] if name == b"x-client-request-id"), b"")
    log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round((time.perf_counter() - started) * 1000),
        **({"client_request_id": theirs[:64].decode("latin-1")} if theirs else {}),
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make every failure an `{"error": {...}}`."""
    app.add_exception_handler(EdgeError, _edge_error)
    app.add_exception_handler(RemoteError, _remote_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _any_error)


def answer(error: EdgeError) -> Response:
    """The error as a response."""
    return Response(error.body(), error.status, headers=error.headers, media_type="application/json")


async def _edge_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeError)  # noqa: S101
    return answer(error)


async def _remote_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RemoteError)  # noqa: S101
    translated = from_remote(error)
    if translated.status >= 500:
        log.warning("service_call_failed", error=str(error))
    return answer(translated)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    place, *path = first["loc"]
    param = ".".join(str(part) for part in path) or None
    code = "invalid_body" if place == "body" else "invalid_parameter"
    if first["type"] == AMOUNT_ERROR:
        code = "invalid_amount"
    what = param or "The body"
    said = first["msg"][:1].lower() + first["msg"][1:]
    return answer(EdgeError(code, f"{what}: {said}.", param=param))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    path, method = request.url.path[:100], request.method
    if path == "/v1" or path.startswith("/v1/"):
        return answer(EdgeError("endpoint_not_supported", f"{method} {path} is not supported. See /api/docs."))
    if error.status_code == 404:
        return answer(EdgeError("not_found", f"There is nothing at {path}. See /api/docs for what there is."))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{method} is not possible at {path}; {allowed or 'other methods'} would be."
        return answer(EdgeError("method_not_allowed", message, headers={"allow": allowed} if allowed else {}))
    return answer(internal_error())


async def _any_error(_: Request, __: Exception) -> Response:
    return answer(internal_error())
