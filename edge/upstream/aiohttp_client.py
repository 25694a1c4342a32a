"""A Client by aiohttp: slower than our own, and there for comparison and for whom ours fails."""

import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from edge.upstream.client import (
    DNS_S,
    KEEP_ALIVE_S,
    MAX_CONNECTIONS,
    READ_BUFFER_BYTES,
    Broken,
    Response,
    Unreachable,
    show_connections,
)

_NEVER_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


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

    def finish(self) -> None:
        # Nobody tells when the end comes, so what has not come yet closes the connection.
        self.release()

    def abort(self) -> None:
        self._response.close()


def _told(error: Exception) -> str:
    """What is noted of a connection that broke: of a parser's complaint not the text, since it quotes what came."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, OSError | aiohttp.ServerDisconnectedError) else name


class AiohttpClient:
    """A pool of connections by aiohttp. Made inside the running loop."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, max_connections: int = MAX_CONNECTIONS) -> None:
        connector = aiohttp.TCPConnector(
            limit=max_connections, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=DNS_S, ssl=tls or True
        )
        # aiohttp tells nobody.
        show_connections(
            used=lambda: len(connector._acquired),  # noqa: SLF001
            idle=lambda: sum(len(idle) for idle in tuple(connector._conns.values())),  # noqa: SLF001
        )
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
        except _NEVER_SENT as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Broken(_told(error)) from error
        except ValueError as error:
            # It looks at all of the head before any of it goes out.
            raise Unreachable("a header that cannot be sent") from error
        return _AiohttpResponse(response)

    async def close(self) -> None:
        """As Client says."""
        await self._session.close()
