"""The span of a request, from its first byte to the last of its answer. Used only while tracing is on."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from kit.spans import Spans

_TRACEPARENT: Final = b"traceparent"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def traced(spans: "Spans", app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers by `app`, under the trace that the client names in `traceparent`, or a new one.

    Of the address only the route is noted, since the rest of it is the client's own words. Its `tracestate` ends here.
    """
    method = scope["method"] if scope["method"] in _METHODS else "other"
    given = next((value for name, value in scope["headers"] if name == _TRACEPARENT), b"")
    span = spans.begin_serving(method, {"traceparent": given.decode("latin-1")})
    status = 0

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            request_id = next((value for name, value in message["headers"] if name == b"x-request-id"), b"")
            span.note({"privaterouter.request_id": request_id.decode("latin-1")})
        await send(message)

    error = ""
    try:
        await app(scope, receive, noting)
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        route = _route(scope)
        span.rename(f"{method} {route}")
        span.note({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        span.end(error or (f"status {status}" if status >= 500 else ""))


def _route(scope: Scope) -> str:
    """The route; that of a raw path is the path itself."""
    if "app" not in scope:  # FastAPI has not seen it.
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", "none"))
