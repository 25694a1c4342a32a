"""What the money path asks of a connection to upstreams, whoever makes it; `clients.py` chooses who does.

UpstreamError
├── Unreachable     no connection: nothing was sent, so nothing can have run
└── Broken          the connection broke, or what came was no HTTP
"""

import enum
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, Never, Protocol

from prometheus_client import Gauge

KEEP_ALIVE_S: Final = 4.0
"""Shorter than the five seconds after which uvicorn and cpp-httplib close an idle connection: one that the server is
just closing would fail the request that is sent on it."""
MAX_CONNECTIONS: Final = 4096
"""In use at a time, over all upstreams; who comes then waits for one."""
READ_BUFFER_BYTES: Final = 64 * 1024
"""Beyond this much that nobody has read yet, the upstream has to wait."""
DNS_S: Final = 10
"""How long an address is remembered."""

_connections = Gauge("edge_upstream_connections", "Connections to upstreams, of all of them together.", ["state"])
_most = Gauge("edge_upstream_max_connections", "Most connections to upstreams that there may be.")


class ClientKind(enum.StrEnum):
    """Who makes the connections to upstreams."""

    POOL = enum.auto()
    """Our own pool, `pool.py`."""
    AIOHTTP = enum.auto()
    """The library, at several times the cost of a request."""


class UpstreamError(Exception):
    """An upstream did not answer."""


class Unreachable(UpstreamError):
    """No connection could be made: nothing was sent."""


class Broken(UpstreamError):
    """The connection broke before the end of the answer."""


class Response(Protocol):
    """An answer whose status and headers have come."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    def header(self, name: str) -> str:
        """A header's value, empty where there is none."""
        ...

    def read(self) -> Coroutine[object, Never, bytes]:
        """The next piece of the body as it arrived; empty at its end. Raises Broken."""
        ...

    def release(self) -> None:
        """The body was read to its end: the connection may serve another request. Else the same as abort.

        Only the first call counts, of this and the others.
        """
        ...

    def finish(self) -> None:
        """The answer itself has said that it is over, as `[DONE]` does: all that may come is the end of the body.

        The connection may serve another request when that has come; it gets a moment for it.
        """
        ...

    def abort(self) -> None:
        """Closes the connection, so that the upstream stops its work."""
        ...


class Client(Protocol):
    """Sends requests to upstreams."""

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        connect_timeout_s: float,
        sent: Callable[[], None],
    ) -> Response:
        """Sends a request and waits, for as long as it takes, for the head of the answer. Unreachable or Broken.

        `sent` is called when it goes out: until then the upstream knows nothing of it.
        """
        ...

    async def close(self) -> None:
        """Closes all connections, those in use too."""
        ...


def show_connections(*, used: Callable[[], float], idle: Callable[[], float]) -> None:
    """Has the metrics say what these return, in the thread that serves them."""
    _connections.labels("used").set_function(used)
    _connections.labels("idle").set_function(idle)
    _most.set(MAX_CONNECTIONS)
