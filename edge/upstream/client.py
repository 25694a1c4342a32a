"""The connection to upstreams, behind an interface small enough to be replaced.

UpstreamError
├── Unreachable     no connection: nothing was sent, so nothing can have run
└── Broken          the connection broke, or what came was no HTTP
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from prometheus_client import Gauge

# Shorter than the five seconds after which uvicorn and cpp-httplib close an idle connection: one that the server is
# just closing would fail the request that is sent on it.
KEEP_ALIVE_S = 4.0
MAX_CONNECTIONS = 4096
READ_BUFFER_BYTES = 64 * 1024

_connections = Gauge("edge_upstream_connections", "Connections to upstreams, of all of them together.", ["state"])
_most = Gauge("edge_upstream_max_connections", "Most connections to upstreams that there may be.")


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

    async def read(self) -> bytes:
        """The next piece of the body as it arrived; empty at its end. Raises Broken."""
        ...

    def release(self) -> None:
        """The body was read to its end: the connection may serve another request. Else the same as abort."""
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
        """Closes all connections."""
        ...


class _Body(aiohttp.BytesPayload):
    """A body that tells when it goes out, together with its headers."""

    def __init__(self, body: bytes, sent: Callable[[], None]) -> None:
        # Given a large body, the constructor warns of a long write; the transport takes what it can and keeps the rest.
        super().__init__(b"")
        self._value = body
        self._size = len(body)
        self._sent = sent

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._sent()
        await super().write_with_length(writer, content_length)


@lru_cache(maxsize=256)
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


class _AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise Broken(_told(error)) from error

    def release(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def abort(self) -> None:
        self._response.close()


def _told(error: Exception) -> str:
    """What is noted of a connection that broke: of a parser's complaint not the text, since it quotes what came."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, OSError | aiohttp.ServerDisconnectedError) else name


class AiohttpClient:
    """A pool of connections by aiohttp. Made inside the running loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=10)
        # Asked by the thread that serves the metrics; aiohttp tells nobody.
        _connections.labels("used").set_function(lambda: len(connector._acquired))  # noqa: SLF001
        _connections.labels("idle").set_function(
            lambda: sum(len(idle) for idle in tuple(connector._conns.values()))  # noqa: SLF001
        )
        _most.set(MAX_CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept"),
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,
        )

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        connect_timeout_s: float,
        sent: Callable[[], None],
    ) -> Response:
        """As Client says."""
        try:
            response = await self._session.post(
                url,
                data=_Body(body, sent),
                headers=headers,
                allow_redirects=False,
                timeout=_timeout(connect_timeout_s),
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Broken(_told(error)) from error
        return _AiohttpResponse(response)

    async def close(self) -> None:
        """As Client says."""
        await self._session.close()
