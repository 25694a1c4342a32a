"""Channels to other services: a deadline on every call, retries where safe, typed errors."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from time import perf_counter
from typing import Any, Self

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from prometheus_client import Counter, Histogram

from kit import tracing
from kit.errors import unpack
from kit.health import TAKES_CALLS
from kit.logs import request_id
from kit.metrics import RPC_BUCKETS_S
from kit.presence import Presence
from kit.tls import Tls
from kit.wire import MAX_MESSAGE_BYTES, REQUEST_ID_KEY

_SAFE = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)
_RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# The retry budget: each failure costs a token, each success gives a tenth back, and no retries
# happen at half or less. So at most a tenth of the load of a failing server is retries.
_BUDGET = {"maxTokens": 20, "tokenRatio": 0.1}
# With a new certificate. The other side may hear of a new authority some seconds after us, and the old connection
# is good until then; where nobody answers at all, the new certificate is the better one to go on with.
_CONNECTED_WITHIN_S = 20.0
# More than any call's deadline.
_GRACE_S = 120.0

_handled = Counter("grpc_client_handled", "RPCs that ended for the caller, by method and code.", ["method", "code"])
_seconds = Histogram(
    "grpc_client_handling_seconds",
    "Time until an RPC was answered, retries included.",
    ["method"],
    buckets=RPC_BUCKETS_S,
)

Metadata = Iterable[tuple[str, str | bytes]]
Call = Callable[..., Awaitable[Any]]


def channel(
    target: str, *services: ServiceDescriptor, timeout_s: float = 5.0, tls: Tls | None = None
) -> grpc.aio.Channel:
    """A channel for stubs whose calls fail with kit.errors.RemoteError only.

    With `tls` it shows a certificate, wants one of the server for the target's name, and moves over to a new one
    without a failed call.

    A call without a `timeout` gets `timeout_s`. Methods of `services` that their proto marks
    `idempotency_level` NO_SIDE_EFFECTS or IDEMPOTENT are tried up to four times on UNAVAILABLE,
    within the deadline; others never. Where all servers went away a moment ago, as in a restart, calls that were not
    sent yet wait for one to come back, whatever their method, for as long as kit.presence says.
    """
    options = (
        ("grpc.service_config", json.dumps(service_config(services))),
        ("grpc.enable_retries", 1),
        ("grpc.enable_http_proxy", 0),  # these are our own services, whatever HTTP_PROXY says
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),  # which is how long one try may take
        # So long after a server has returned it may stay unnoticed, while the next one is stopped.
        ("grpc.max_reconnect_backoff_ms", 500),
        # A name is looked up anew when a connection ends, but by itself not twice in 30 s: a rolling restart is faster.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    )

    def dial() -> grpc.aio.Channel:
        if tls:
            return grpc.aio.secure_channel(target, tls.channel_credentials(), options=options)
        return grpc.aio.insecure_channel(target, options=options)

    return _Channel(dial, timeout_s, tls)


def service_config(services: Sequence[ServiceDescriptor]) -> dict[str, object]:
    """The gRPC service config: retries for safe methods only, calls spread over all addresses."""
    safe = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if method.GetOptions().idempotency_level in _SAFE
    ]
    methods = [{"name": safe, "retryPolicy": _RETRY}] if safe else []
    return {
        "methodConfig": methods,
        "retryThrottling": _BUDGET,
        "loadBalancingConfig": [{"round_robin": {}}],
        # A server that is about to stop says so, and gets no more calls before it does.
        "healthCheckConfig": {"serviceName": TAKES_CALLS},
    }


class _Channel(grpc.aio.Channel):
    """Delegates to a real channel, after a change of certificates to another one; its unary calls are plain coroutines.

    gRPC's own client interceptors start a task for every call, which costs as much as a third of
    the call; this costs a function call. Streams, of which our contracts have none, stay where they began.
    """

    def __init__(self, dial: Callable[[], grpc.aio.Channel], timeout_s: float, tls: Tls | None) -> None:
        self._dial = dial
        self._inner = dial()
        self._presence = Presence(self._inner)
        self._timeout_s = timeout_s
        self._moves: set[asyncio.Task[None]] = set()
        self._moving = asyncio.Lock()
        self._unsubscribe = tls.subscribe(self._renew) if tls else None

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The callable of one unary method; stubs ask for it when they are made."""
        inner = self._inner
        multicallable: Call = inner.unary_unary(method, *args, **kwargs)
        timeout_s = self._timeout_s
        # Looked up at the first call: most processes call few of a service's methods.
        seconds, succeeded = cache(lambda: _seconds.labels(method)), cache(lambda: _handled.labels(method, "OK"))

        # The signature is that of gRPC's own callables.
        async def call(
            request: Any,
            *,
            timeout: float | None = None,  # noqa: ASYNC109
            metadata: Metadata = (),
            **options: Any,
        ) -> Any:
            nonlocal inner, multicallable
            if inner is not self._inner:
                inner = self._inner
                multicallable = inner.unary_unary(method, *args, **kwargs)
            if current := request_id.get():
                metadata = (*metadata, (REQUEST_ID_KEY, current))
            began_s = perf_counter()
            try:
                with tracing.calling(method, {"rpc.system": "grpc"}) as headers:
                    answer = await multicallable(
                        request,
                        timeout=timeout_s if timeout is None else timeout,
                        metadata=(*metadata, *headers.items()) or None,
                        **{"wait_for_ready": self._presence.is_expected(), **options},
                    )
            except grpc.aio.AioRpcError as error:
                _handled.labels(method, error.code().name).inc()
                raise unpack(error) from None
            except asyncio.CancelledError:
                _handled.labels(method, "CANCELLED").inc()
                raise
            finally:
                seconds().observe(perf_counter() - began_s)
            succeeded().inc()
            return answer

        return call

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As the inner channel: no deadline, no typed errors."""
        return self._inner.unary_stream(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As the inner channel: no deadline, no typed errors."""
        return self._inner.stream_unary(*args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As the inner channel: no deadline, no typed errors."""
        return self._inner.stream_stream(*args, **kwargs)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; running calls get `grace` seconds."""
        if self._unsubscribe:
            self._unsubscribe()
            self._unsubscribe = None
        for move in self._moves:
            move.cancel()
        await asyncio.gather(*self._moves, return_exceptions=True)
        await self._presence.close()
        await self._inner.close(grace)

    def _renew(self) -> None:
        move = asyncio.create_task(self._move())
        self._moves.add(move)
        move.add_done_callback(self._moves.discard)

    async def _move(self) -> None:
        """Goes over to a channel with the present certificate once that is connected, and lets the old one end."""
        left = fresh = self._dial()
        try:
            async with self._moving:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CONNECTED_WITHIN_S):
                        await fresh.channel_ready()
                left, self._inner = self._inner, fresh
                former, self._presence = self._presence, Presence(fresh)
            await former.close()
            await asyncio.sleep(_GRACE_S)
        finally:
            await left.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002
        """The connectivity state."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another one."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until the channel is connected."""
        await self._inner.channel_ready()
