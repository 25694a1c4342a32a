"""A server that answers with the very bytes that a test gives, and what it has seen."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CLOSE = b""
"""In the place of a piece: the connection is closed."""


@dataclass
class Asked:
    """One request."""

    head: bytes
    body: bytes
    connection: int

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}


@dataclass
class Talk:
    """A connection to the server."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> Asked:
        """The next request, whole. IncompleteReadError where the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        asked = Asked(head.removesuffix(b"\r\n"), b"", self.number)
        asked.body = await self.reader.readexactly(int(asked.headers["content-length"]))
        return asked

    async def say(self, *pieces: bytes) -> None:
        """Sends each by itself, so that the client sees them one after the other."""
        for piece in pieces:
            if piece == CLOSE:
                self.writer.close()
                return
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3 if len(pieces) > 1 else 0):
                await asyncio.sleep(0)


@dataclass
class RawServer:
    """Counts what comes."""

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    """Connections that the client has not closed yet."""

    def url(self, path: str = "/v1/chat/completions") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


Handler = Callable[[RawServer, Talk], Awaitable[None]]


def answers(*each: Sequence[bytes] | bytes) -> Handler:
    """The n-th request gets the n-th answer, the last one for ever."""

    async def handle(server: RawServer, talk: Talk) -> None:
        while not talk.writer.is_closing():
            asked = await talk.request()
            answer = each[min(len(server.asked), len(each) - 1)]
            server.asked.append(asked)
            await talk.say(*([answer] if isinstance(answer, bytes) else answer))

    return handle


@asynccontextmanager
async def raw_server(handle: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A running server. At the end the client must have closed all of its connections."""
    state = RawServer(scheme="https" if tls else "http")
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        state.connections += 1
        state.open += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await handle(state, Talk(state.connections, reader, writer))
                await reader.read()
        except asyncio.CancelledError:
            pass  # The loop's own server complains of a handler that was cancelled.
        finally:
            state.open -= 1
            writer.transport.abort()
            talks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**26)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
        if talks:
            _, left = await asyncio.wait(talks, timeout=15)
            assert not left, "the client left connections open"
    finally:
        for task in tuple(talks):
            task.cancel()
        server.close()
