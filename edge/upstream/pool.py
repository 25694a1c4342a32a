"""Our own Client: kept connections to upstreams by HTTP/1.1, over asyncio's transports and httptools' parser.

A request costs a quarter of what it does with aiohttp (docs/decisions/0021-an-upstream-pool-of-our-own.md). Nothing is
sent twice: a request that broke is for the caller to repeat, who knows whether that is safe.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, Never

from edge.upstream.client import MAX_CONNECTIONS, Broken, Unreachable, show_connections
from edge.upstream.connection import Connection
from edge.upstream.sites import Site, Tls, request_head, split

_SWEEP_S: Final = 1.0
_MAX_URLS: Final = 1024
_END_S: Final = 1.0
"""How long the end of a body is awaited that has nothing more to say."""


class Answer:
    """A Response on one of the pool's connections, which it gives back."""

    __slots__ = ("_connection", "_headers", "_pool", "_site", "status")

    def __init__(self, connection: Connection, site: Site, pool: "Pool") -> None:
        self.status = connection.status
        self._headers = connection.headers
        self._connection: Connection | None = connection
        self._site = site
        self._pool = pool

    def header(self, name: str) -> str:
        """As Response says."""
        return self._headers.get(name.lower().encode(), b"").decode("latin-1")

    def read(self) -> Coroutine[object, Never, bytes]:
        """As Response says."""
        if self._connection is None:
            raise Broken("the answer was given back")
        return self._connection.read()

    def release(self) -> None:
        """As Response says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.take_back(self._site, connection)

    def finish(self) -> None:
        """As Response says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.take_back_at_end(self._site, connection)

    def abort(self) -> None:
        """As Response says."""
        if self._connection is not None:
            self._connection.abort()
            self.release()


class Pool:
    """A Client. Made inside the running loop."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, max_connections: int = MAX_CONNECTIONS) -> None:
        self._loop = asyncio.get_running_loop()
        self._tls = Tls(tls)
        self._sites: dict[tuple[str, str, int], Site] = {}
        self._targets: dict[str, tuple[Site, str]] = {}
        """By URL: where it leads, and how a request for it begins."""
        self._max_connections = max_connections
        self._turns = asyncio.Semaphore(max_connections)
        self._open: set[Connection] = set()
        self._used = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._all_lost = asyncio.Event()
        self._is_closed = False
        show_connections(used=lambda: self._used, idle=self._count_idle)

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        connect_timeout_s: float,
        sent: Callable[[], None],
    ) -> Answer:
        """As Client says."""
        site, start = self._targets.get(url) or self._target(url)
        head = request_head(start, headers, f"content-length: {len(body)}\r\n")
        await self._turns.acquire()
        self._used += 1
        try:
            connection = site.fresh(self._loop.time()) or await self._connect(site, connect_timeout_s)
        except BaseException:
            self._end_turn()
            raise
        try:
            sent()
            await connection.ask(head, body)
        except BaseException:
            connection.abort()
            self._end_turn()
            raise
        return Answer(connection, site, self)

    async def close(self) -> None:
        """As Client says."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for site in self._sites.values():
            site.close()
        for connection in self._open:
            connection.abort()
        if self._open:
            await self._all_lost.wait()

    def _target(self, url: str) -> tuple[Site, str]:
        """Reads a URL that is new. Unreachable where it is none."""
        address, start = split(url, "POST")
        site = self._sites.get(address)
        if site is None:
            scheme, host, port = address
            site = self._sites[address] = Site(host, port, tls=self._tls if scheme == "https" else None)
        if len(self._targets) >= _MAX_URLS:
            self._targets.clear()
        self._targets[url] = site, start
        return site, start

    async def _connect(self, site: Site, timeout_s: float) -> Connection:
        connection = await site.connect(lambda: Connection(self._lost, self._loop), timeout_s=timeout_s)
        if connection.is_open:
            self._open.add(connection)
        if self._is_closed or not connection.is_good:
            connection.abort()
            raise Unreachable("the connection was closed at once")
        return connection

    def take_back(self, site: Site, connection: Connection) -> None:
        """Keeps or closes a connection after an answer."""
        self._end_turn()
        self._keep(site, connection)

    def take_back_at_end(self, site: Site, connection: Connection) -> None:
        """Keeps a connection when the end of the body comes in time, else closes it."""
        self._end_turn()
        if not connection.is_ending:
            self._keep(site, connection)
            return
        too_late = self._loop.call_later(_END_S, connection.abort)

        def heard() -> None:
            if not connection.is_ending:
                connection.heard = None
                too_late.cancel()
                self._keep(site, connection)

        connection.heard = heard

    def _keep(self, site: Site, connection: Connection) -> None:
        if connection.is_free and len(self._open) <= self._max_connections and not self._is_closed:
            site.keep(connection, self._loop.time())
            if self._sweeping is None:
                self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        else:
            connection.abort()

    def _end_turn(self) -> None:
        self._used -= 1
        self._turns.release()

    def _sweep(self) -> None:
        """Closes what was idle for too long."""
        now_s = self._loop.time()
        kept = sum(site.sweep(now_s) for site in self._sites.values())
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep) if kept else None

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        for site in self._sites.values():
            site.forget(connection)
        if not self._open:
            self._all_lost.set()

    def _count_idle(self) -> int:
        return sum(len(site.idle) for site in tuple(self._sites.values()))
