"""Small questions to upstreams, off the hot path: a GET with a deadline, and an answer of a bounded size."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from edge.upstream.client import Broken, Unreachable
from edge.upstream.connection import Connection
from edge.upstream.sites import Site, Tls, request_head, split

TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 64
_MAX_SITES: Final = 1024
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity", "connection": "close"}


@dataclass(frozen=True, slots=True)
class Got:
    """An answer with the whole of its body."""

    status: int
    body: bytes


class Get(Protocol):
    """Asks for an address."""

    async def __call__(self, url: str, *, headers: Mapping[str, str]) -> Got:
        """The answer. Raises UpstreamError, within a time limit whatever happens."""
        ...


class Getter:
    """A Get by a connection for each question. Follows no redirect: its headers may hold a credential."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tls = Tls(None)
        self._sites: dict[tuple[str, str, int], Site] = {}
        """They remember addresses for a while."""
        self._open: set[Connection] = set()
        self._none_open = asyncio.Event()

    async def __call__(self, url: str, *, headers: Mapping[str, str]) -> Got:
        """As Get says."""
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                return await self._ask(url, headers)
        except TimeoutError:
            raise Broken(f"no answer within {self._timeout_s:g} s") from None

    async def close(self) -> None:
        """Closes what is open."""
        for site in self._sites.values():
            site.close()
        for connection in self._open:
            connection.abort()
        if self._open:
            await self._none_open.wait()

    async def _ask(self, url: str, headers: Mapping[str, str]) -> Got:
        site, start = self._target(url)
        head = request_head(start, {**_HEADERS, **headers})
        loop = asyncio.get_running_loop()
        connection = await site.connect(lambda: Connection(self._lost, loop), timeout_s=self._timeout_s)
        if not connection.is_open:
            raise Unreachable("the connection was closed at once")
        self._open.add(connection)
        self._none_open.clear()
        try:
            await connection.ask(head, b"")
            return Got(connection.status, await self._read(connection))
        finally:
            connection.abort()

    async def _read(self, connection: Connection) -> bytes:
        pieces, size = [], 0
        while piece := await connection.read():
            size += len(piece)
            if size > self._max_bytes:
                raise Broken(f"an answer of over {self._max_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _target(self, url: str) -> tuple[Site, str]:
        """The server of a URL, and how a request for it begins. Unreachable where it is none."""
        address, start = split(url, "GET")
        site = self._sites.get(address)
        if site is None:
            scheme, host, port = address
            if len(self._sites) >= _MAX_SITES:
                self._sites.clear()
            site = self._sites[address] = Site(host, port, tls=self._tls if scheme == "https" else None)
        return site, start

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()
