"""The server interceptor: who may call, errors become statuses, every call is measured and knows its request id."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from time import perf_counter
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health
from prometheus_client import Counter, Histogram

from kit import tracing
from kit.errors import AppError, CallerNotAllowed, Internal, pack
from kit.logs import get_logger, request_id
from kit.metrics import RPC_BUCKETS_S
from kit.tls import identity_of
from kit.wire import ERROR_KEY, REQUEST_ID_KEY

_MAX_REQUEST_ID_CHARS = 64
_HEALTH = f"/{health.SERVICE_NAME}/"

log = get_logger()
_handled = Counter("grpc_server_handled", "RPCs finished, by method and code.", ["method", "code"])
_refused = Counter("grpc_server_refused_callers", "RPCs of callers that may not make them.", ["method", "caller"])
_seconds = Histogram("grpc_server_handling_seconds", "Time to answer an RPC.", ["method"], buckets=RPC_BUCKETS_S)

# In quotes, since gRPC's classes are generic in their stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = "Callable[[Any, Context], Awaitable[Any]]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class Guard(grpc.aio.ServerInterceptor):
    """Wraps each unary method once, at its first call; streams (health, reflection) pass through.

    With `callers`, a table of RPC and the identities that may call it, everybody else is refused: an RPC that is not in
    the table is nobody's. Health is everybody's.
    """

    def __init__(self, callers: Mapping[str, Collection[str]] | None = None) -> None:
        self._callers = callers
        self._wrapped: dict[str, Handler] = {}
        self.called = asyncio.Event()
        """Set by each call, but not by those about health."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler, guarded."""
        method = handler_call_details.method
        if not method.startswith(_HEALTH):
            self.called.set()
        if known := self._wrapped.get(method):
            return known
        handler = await continuation(handler_call_details)
        # An unknown method has no handler; remembering its name would let callers fill the memory.
        if handler is None or handler.unary_unary is None:
            return handler
        wrapped = grpc.unary_unary_rpc_method_handler(
            _guarded(method, handler.unary_unary, allowed=self._allowed(method)),  # type: ignore[arg-type]
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return self._wrapped.setdefault(method, wrapped)

    def _allowed(self, method: str) -> Collection[str] | None:
        """Who may call `/package.Service/Rpc`; None is everybody."""
        _, service, rpc = method.split("/")
        if self._callers is None or service == health.SERVICE_NAME:
            return None
        return self._callers.get(rpc, ())


def _guarded(method: str, behaviour: Behaviour, *, allowed: Collection[str] | None) -> Behaviour:
    seconds = _seconds.labels(method)
    succeeded = _handled.labels(method, "OK")

    async def call(request: Any, context: Context) -> Any:
        started = perf_counter()
        for key, value in context.invocation_metadata() or ():
            if key == REQUEST_ID_KEY and isinstance(value, str):
                request_id.set(value[:_MAX_REQUEST_ID_CHARS])
        try:
            if allowed is not None:
                _admit(context, allowed, method=method)
            response = await behaviour(request, context)
        except AppError as error:
            (log.warning if isinstance(error, CallerNotAllowed) else log.info)(
                "rpc_refused", method=method, code=error.code.name, reason=error.reason,
                message=error.message, **{f"error_{k}": v for k, v in error.metadata.items()},
            )  # fmt: skip
            _handled.labels(method, error.code.name).inc()
            await _abort(context, error)
        except (grpc.aio.AbortError, asyncio.CancelledError) as error:
            aborted = isinstance(error, grpc.aio.AbortError)
            _handled.labels(method, "ABORTED_BY_HANDLER" if aborted else "CANCELLED").inc()
            raise
        except Exception:
            log.exception("rpc_failed", method=method)
            _handled.labels(method, "INTERNAL").inc()
            await _abort(context, Internal("internal error"))
        else:
            succeeded.inc()
            log.debug("rpc_answered", method=method)
            return response
        finally:
            seconds.observe(perf_counter() - started)

    return _traced(method, call)


def _traced(method: str, behaviour: Behaviour) -> Behaviour:
    async def call(request: Any, context: Context) -> Any:
        if tracing.active is None:
            return await behaviour(request, context)
        with tracing.active.serving(method, context.invocation_metadata() or ()):
            return await behaviour(request, context)

    return call


def _admit(context: Context, allowed: Collection[str], *, method: str) -> None:
    """CallerNotAllowed unless the caller's certificate names one of them. Takes 5 µs."""
    uris: Iterable[bytes] = context.auth_context().get("peer_uri", ())
    caller = identity_of([uri.decode(errors="replace") for uri in uris])
    if caller in allowed:
        return
    _refused.labels(method, caller).inc()
    raise CallerNotAllowed(f"{caller or 'a caller without a name'} may not call {method}", caller=caller)


async def _abort(context: Context, error: AppError) -> None:
    tracing.note({"rpc.response.status_code": error.code.name})
    details = ((ERROR_KEY, pack(error).SerializeToString()),)
    await context.abort(error.code, error.message, trailing_metadata=details)
