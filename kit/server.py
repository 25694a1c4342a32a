"""A gRPC server from start to drained: certificates, health, reflection, background tasks, SIGTERM."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kit import faults
from kit.health import LIVENESS, READINESS, TAKES_CALLS
from kit.interceptors import Guard
from kit.logs import get_logger
from kit.metrics import LoopLag
from kit.tls import Tls
from kit.wire import MAX_MESSAGE_BYTES

READY_INTERVAL_S = 1.0
CANCEL_AGAIN_S = 0.5
HAND_OVER_S = 3.0
"""At most, for clients to go elsewhere before the server stops; a call that is on its way at that moment is lost."""
QUIET_S = 0.3
"""Without a new call: all clients have gone."""
CONNECTION_AGE_S = 60.0
"""Clients in a network are told to connect anew after so long (a tenth more or less), which makes them look the name up
again: so a new replica behind it gets its share of the calls within about a minute. With certificates a connection
costs 5 ms of processor time, both sides together."""
CONNECTION_GRACE_S = 120.0
"""Calls that run on an old connection may go on for so long: more than the longest deadline of our clients."""
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a second process on the port is a mistake, not a load balancer
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Our clients ping idle connections every 10 s; by itself gRPC takes that for abuse and hangs up.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
)

log = get_logger()

Register = Callable[[grpc.aio.Server], None]
Ready = Callable[[], Awaitable[bool]]
Background = Callable[[], Awaitable[None]]
Callers = Mapping[str, Collection[str]]


def run(main: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run`, on uvloop; with the faults that a test asks for in FAULTS."""
    faults.enable(os.environ.get("FAULTS", ""))
    uvloop.run(main)


async def serve(
    *,
    name: str,
    listen: str,
    register: Register,
    services: Sequence[str],
    ready: Ready | None = None,
    background: Sequence[Background] = (),
    drain_s: float = 20,
    tls: Tls | None = None,
    callers: Callers | None = None,
    health_listen: str = "",
) -> None:
    """Serves until SIGTERM or SIGINT, then drains: lets clients go, no new calls, `drain_s` for those running.

    `services` are full proto names (for reflection and health), `ready` is asked every second and
    must not raise for long. A background task that raises stops the process with exit status 1;
    all of them are cancelled after the drain. The last three are as for `running`, but that the
    certificates are also watched. OSError when `listen` or `health_listen` cannot be bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    failed = False
    async with AsyncExitStack() as stack:
        stack.callback(LoopLag().stop)
        tasks = [asyncio.ensure_future(start()) for start in (*background, *([tls.watch] if tls else []))]
        stack.push_async_callback(_cancel, tasks)
        target = await stack.enter_async_context(
            running(
                listen=listen,
                register=register,
                services=services,
                ready=ready,
                drain_s=drain_s,
                tls=tls,
                callers=callers,
                health_listen=health_listen,
                hand_over_s=HAND_OVER_S,
            )
        )
        log.info("listening", service=name, target=target, **({"identity": tls.identity} if tls else {}))
        failed = await _until(stop, tasks)
        log.info("draining", service=name)
    log.info("stopped", service=name)
    if failed:
        raise SystemExit(1)


@asynccontextmanager
async def running(
    *,
    listen: str,
    register: Register,
    services: Sequence[str] = (),
    ready: Ready | None = None,
    drain_s: float = 20,
    tls: Tls | None = None,
    callers: Callers | None = None,
    health_listen: str = "",
    connection_age_s: float = CONNECTION_AGE_S,
    hand_over_s: float = 0.0,
) -> AsyncIterator[str]:
    """A started server; yields the target that clients dial (port 0 is filled in), drains on exit.

    With `tls` clients show a certificate, and make only the RPCs for which `callers` names them; there is no
    reflection. At `health_listen`, where set, health is told in plaintext and without a certificate, for probes.
    On exit clients get up to `hand_over_s` to take their calls elsewhere, and calls that run get `drain_s`.
    """
    checks = health.aio.HealthServicer()
    names = (READINESS, *services)
    await _report(checks, names, serving=await _ask(ready))
    await _report(checks, (LIVENESS, TAKES_CALLS), serving=True)
    guard = Guard((callers or {}) if tls else None)
    async with AsyncExitStack() as stack:
        if health_listen:
            await stack.enter_async_context(_health_server(checks, health_listen))
        options = (*_OPTIONS, *_age(connection_age_s)) if not listen.startswith("unix:") else _OPTIONS
        server = grpc.aio.server(interceptors=(guard,), options=options)
        register(server)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        if not tls:
            reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        target = _bind(server, listen, tls=tls)
        await server.start()
        watch = asyncio.create_task(_watch(checks, names, ready)) if ready else None
        try:
            yield target
        finally:
            if watch:
                await _cancel([watch])
            await _report(checks, (TAKES_CALLS, *names), serving=False)
            await _hand_over(guard.called, within_s=hand_over_s)
            await server.stop(drain_s)


async def _hand_over(called: asyncio.Event, *, within_s: float) -> None:
    """Waits until clients have gone elsewhere: gRPC drops calls that come in while it is being stopped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                called.clear()
                async with asyncio.timeout(QUIET_S):
                    await called.wait()


@asynccontextmanager
async def _health_server(checks: Any, listen: str) -> AsyncIterator[None]:
    server = grpc.aio.server(options=_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    log.info("health_listening", target=_bind(server, listen))
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def _age(age_s: float) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_connection_age_ms", round(age_s * 1_000)),
        ("grpc.max_connection_age_grace_ms", round(CONNECTION_GRACE_S * 1_000)),
    )


def _bind(server: grpc.aio.Server, listen: str, *, tls: Tls | None = None) -> str:
    if listen.startswith("unix:"):
        _remove_stale(Path(listen.removeprefix("unix:").removeprefix("//")))
    try:
        port = server.add_secure_port(listen, tls.server_credentials()) if tls else server.add_insecure_port(listen)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {listen}; is it in use?") from error
    if listen.startswith("unix:"):
        return listen
    return f"{listen.rpartition(':')[0]}:{port}"


def _remove_stale(path: Path) -> None:
    """Removes the socket that a killed process left; one that still answers is an OSError."""
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(f"{path} exists and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(f"{path} is in use by another process")


async def _until(stop: asyncio.Event, tasks: Sequence[asyncio.Future[None]]) -> bool:
    """Waits for the signal or for a task that raises; answers whether one did."""
    stopped = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {stopped, *tasks}
    while not stopped.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled() and (error := task.exception()):
                log.error("background_task_died", exc_info=error)
                stopped.cancel()
                return True
    return False


async def _cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Ends the tasks; asks more than once, since a cancellation can get lost in another exception.

    (So it does when a database connection breaks at that moment: the task sees only the broken connection.)
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(checks: Any, names: Sequence[str], ready: Ready) -> None:
    while True:
        await asyncio.sleep(READY_INTERVAL_S)
        await _report(checks, names, serving=await _ask(ready))


async def _ask(ready: Ready | None) -> bool:
    if ready is None:
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_INTERVAL_S):
            try:
                return await ready()
            except Exception:
                log.exception("readiness_check_failed")
    return False


async def _report(checks: Any, names: Sequence[str], *, serving: bool) -> None:
    status = health_pb2.HealthCheckResponse
    for name in names:
        await checks.set(name, status.SERVING if serving else status.NOT_SERVING)
