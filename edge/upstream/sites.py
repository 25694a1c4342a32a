"""A server that upstreams' addresses name: how it is reached, and the connections to it that wait for a request."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final, cast
from urllib.parse import quote, urlsplit

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from edge.upstream.client import DNS_S, KEEP_ALIVE_S, Unreachable
from edge.upstream.connection import Connection

_HAPPY_EYEBALLS_S: Final = 0.25
"""How long an address is tried before the next one too (RFC 8305, 5)."""
_MOMENT_S: Final = 0.001
"""After this long it is worth asking the system whether a connection was closed: the loop may be late to see it."""
_PORTS: Final = {"http": 80, "https": 443}
_IN_PATHS: Final = "/%:@!$&'()*+,;=~-._"


def split(url: str, method: str) -> tuple[tuple[str, str, int], str]:
    """Scheme, host and port of a URL, and how a request to it begins. Unreachable where it is none."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna").decode()
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:  # UnicodeError is a ValueError.
        raise Unreachable("no address of HTTP") from error
    if not host:
        raise Unreachable("an address without a host")
    shown = f"[{host}]" if ":" in host else host
    shown = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    path = quote(parts.path or "/", safe=_IN_PATHS) + (
        f"?{quote(parts.query, safe=_IN_PATHS + '?')}" * bool(parts.query)
    )
    start = f"{method} {path} HTTP/1.1\r\nhost: {shown}\r\n"
    return (parts.scheme, host, port), start


def request_head(start: str, headers: Mapping[str, str], more: str = "") -> bytes:
    """A request's head, `more` being a line of our own. Unreachable where a header would be more than one."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    text = f"{start}{''.join(lines)}{more}\r\n"
    ends = len(lines) + bool(more) + 3
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise Unreachable("a header that cannot be sent")
    return text.encode()


class Tls:
    """What connections by `https` are made with; of the system, where nothing is given."""

    def __init__(self, given: ssl.SSLContext | None) -> None:
        self._context = given

    async def context(self) -> ssl.SSLContext:
        """Read when first needed, in a thread: the system's list of authorities is long."""
        if self._context is None:
            self._context = await asyncio.to_thread(_context)
        return self._context


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Site:
    """One server."""

    def __init__(self, host: str, port: int, *, tls: Tls | None) -> None:
        self.idle: dict[Connection, None] = {}
        """The one that waits longest first."""
        self._host = host
        self._port = port
        self._tls = tls
        self._lookup: asyncio.Task[list[AddrInfoType]] | None = None
        self._lookup_ends_s = 0.0
        self._turn = 0

    def fresh(self, now_s: float) -> Connection | None:
        """A kept connection that is still good, the newest."""
        while self.idle:
            connection, _ = self.idle.popitem()
            idle_s = now_s - connection.idle_since_s
            if connection.is_good and (idle_s < _MOMENT_S or (idle_s < KEEP_ALIVE_S and connection.is_silent)):
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection, now_s: float) -> None:
        """Keeps a connection for the next request."""
        connection.idle_since_s = now_s
        self.idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self.idle.pop(connection, None)

    def sweep(self, now_s: float) -> int:
        """Closes what was idle for too long; how many are left."""
        for connection in tuple(self.idle):
            if now_s - connection.idle_since_s < KEEP_ALIVE_S:
                break
            self.forget(connection)
            connection.abort()
        return len(self.idle)

    def close(self) -> None:
        """Looks nothing up any more."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def connect(self, make: Callable[[], Connection], *, timeout_s: float) -> Connection:
        """A new connection, the TLS handshake included. Unreachable."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                tls = await self._tls.context() if self._tls else None
                found = await aiohappyeyeballs.start_connection(
                    await self._addresses(), happy_eyeballs_delay=_HAPPY_EYEBALLS_S
                )
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, connection = await loop.create_connection(
                    make, sock=found, ssl=tls, server_hostname=self._host if tls else None
                )
                return connection
        except TimeoutError:
            raise Unreachable(f"no connection within {timeout_s:g} s") from None
        except (OSError, RuntimeError) as error:  # RuntimeError: of uvloop, in place of some OSErrors.
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    async def _addresses(self) -> list[AddrInfoType]:
        """The host's addresses, each time another one first. OSError."""
        loop = asyncio.get_running_loop()
        lookup = self._lookup
        if lookup is None or (lookup.done() and (loop.time() >= self._lookup_ends_s or not _went_well(lookup))):
            lookup = self._lookup = loop.create_task(self._look_up())
            self._lookup_ends_s = loop.time() + DNS_S
        # Many may wait for it: it goes on when one of them leaves.
        await asyncio.wait({lookup})
        if lookup.cancelled():
            raise OSError("the client is closed")
        found = lookup.result()
        self._turn += 1
        first = self._turn % len(found)
        return found[first:] + found[:first]

    async def _look_up(self) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return cast("list[AddrInfoType]", found)


def _went_well(lookup: asyncio.Task[list[AddrInfoType]]) -> bool:
    return not lookup.cancelled() and lookup.exception() is None
