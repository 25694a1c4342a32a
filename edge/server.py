"""uvicorn as we need it: two ports of one application, and a stop that lets running answers finish."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG = 2048
GRACE_S = 5.0
"""After the drain: for the last bytes to go out."""


class Server(uvicorn.Server):
    """Serves `application` on open sockets.

    `started` is called when it does; `drain` runs as soon as it accepts no more, and must end in `drain_s`.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        started: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
        drain_s: float,
        keep_alive_s: int,
        trusted_proxies: str = "",
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=int(drain_s + GRACE_S),
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=trusted_proxies,
            )
        )
        self._on_started = started
        self._drain = drain

    def stop(self) -> None:
        """Begin to stop; the second time, stop without waiting for answers."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for requests. RuntimeError where a slow stand-in for uvloop or httptools was taken."""
        if not isinstance(asyncio.get_running_loop(), uvloop.Loop):
            raise RuntimeError("the edge must run on uvloop")  # noqa: TRY004
        if self.config.http_protocol_class is not HttpToolsProtocol:
            raise RuntimeError("the edge must parse HTTP with httptools")
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and wait for running answers."""
        draining = asyncio.ensure_future(self._drain())
        await super().shutdown(sockets)
        # Over by now, unless somebody was in a hurry.
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: ours must not end the process before the money is settled."""
        yield


def listen(host: str, ports: Sequence[int], *, shared: bool = False) -> list[socket.socket]:
    """Sockets that listen on these ports (0: any free one). OSError, naming the port, where one is taken.

    Where they are `shared`, other processes of this user may listen on the same ports, and get a part of what comes.
    """
    sockets: list[socket.socket] = []
    for port in ports:
        try:
            sockets.append(_bind(host, port, shared=shared))
            # Taken ports show here at the latest, before anything else has been started.
            sockets[-1].listen(BACKLOG)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise OSError(f"cannot listen on port {port} of {host}: {error.strerror}") from error
        sockets[-1].setblocking(False)
    return sockets


def reserve(host: str, ports: Sequence[int]) -> list[socket.socket]:
    """Sockets that hold these ports, without listening, for others that share them. OSError as for `listen`.

    A port is taken also where its owner would share it: that is another edge.
    """
    with contextlib.ExitStack() as closing:
        found = [port_of(closing.enter_context(each)) for each in listen(host, ports)]
    return [_bind(host, port, shared=True) for port in found]


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def port_of(bound: socket.socket) -> int:
    """The port that a socket got."""
    port: int = bound.getsockname()[1]
    return port
