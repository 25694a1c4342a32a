"""A proxy between two processes that treats their connection badly: what a network can do, on one machine."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PIECE_BYTES = 64 * 1024

Address = str
"""`unix:/path` or `host:port`."""


class Link:
    """One proxied address. Every fault can be set and taken back while connections are open.

    `target` is asked at every connection, so that what stands behind may move.
    """

    def __init__(self, name: str, listen: Address, target: Callable[[], Address]) -> None:
        self.name = name
        self.address = listen
        self.delay_s = 0.0
        """Before each piece, each way."""
        self.bytes_per_s: int | None = None
        """Bandwidth, each way."""
        self.slow_close_s = 0.0
        """From one end's close to that of the other."""
        self.cut_after: int | None = None
        """Bytes from the target after which a new connection is reset."""
        self.refusing = False
        """New connections are reset."""
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listens; port 0 is filled in."""
        if self.address.startswith("unix:"):
            path = Path(self.address.removeprefix("unix:"))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, path, limit=PIECE_BYTES)
        else:
            host, _, port = self.address.rpartition(":")
            self._server = await asyncio.start_server(self._accept, host, int(port), limit=PIECE_BYTES)
            self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Resets all and listens no more."""
        if self._server:
            self._server.close()
        self.reset()
        await asyncio.gather(*self._open, return_exceptions=True)

    def hold(self) -> None:
        """A black hole from now on: nothing passes, nothing is closed, nothing is refused."""
        self._flowing.clear()

    def resume(self) -> None:
        """What was held passes on."""
        self._flowing.set()

    def reset(self) -> None:
        """Resets all connections."""
        for writer in tuple(self._writers):
            _reset(writer)
        for task in tuple(self._open):
            task.cancel()

    def heal(self) -> None:
        """Takes every fault back; connections stay open."""
        self.delay_s = self.slow_close_s = 0.0
        self.bytes_per_s = self.cut_after = None
        self.refusing = False
        self.resume()

    def harm(self, random: random.Random) -> str:
        """One fault of any kind, chosen by `random`; what it is."""
        kind = random.choice(("delay", "hold", "reset", "cut", "slow close", "bandwidth", "refuse"))
        match kind:
            case "delay":
                self.delay_s = random.choice((0.01, 0.05, 0.2))
            case "hold":
                self.hold()
            case "reset":
                self.reset()
            case "cut":
                self.cut_after = random.choice((0, 1, 9, 100, 1_000))
                self.reset()
            case "slow close":
                self.slow_close_s = 0.5
            case "bandwidth":
                self.bytes_per_s = random.choice((2_000, 20_000))
            case "refuse":
                self.refusing = True
                self.reset()
        return kind

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            self._writers.discard(writer)
            _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._flowing.wait()
        if self.refusing:
            return
        far_reader, far_writer = await _connect(self._target())
        self._writers.add(far_writer)
        try:
            there = asyncio.ensure_future(self._pump(reader, far_writer, cut_after=None))
            back = asyncio.ensure_future(self._pump(far_reader, writer, cut_after=self.cut_after))
            try:
                # HTTP, gRPC, Postgres and Valkey have no use for a connection that is closed one way.
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(self.slow_close_s)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
            if not self._cut(back):
                with suppress(OSError):
                    writer.close()
                    await writer.wait_closed()
        finally:
            self._writers.discard(far_writer)
            with suppress(OSError):
                far_writer.close()

    def _cut(self, back: "asyncio.Future[bool]") -> bool:
        return back.done() and not back.cancelled() and back.exception() is None and back.result()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cut_after: int | None) -> bool:
        """Passes on until the end, or until `cut_after` bytes have passed: then True."""
        passed = 0
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.bytes_per_s:
                    await asyncio.sleep(len(piece) / self.bytes_per_s)
                await self._flowing.wait()
                kept = piece if cut_after is None else piece[: cut_after - passed]
                writer.write(kept)
                await writer.drain()
                passed += len(kept)
                if len(kept) < len(piece):
                    return True
        return False


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"), limit=PIECE_BYTES)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port), limit=PIECE_BYTES)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection at once; over TCP with RST, not FIN."""
    bound = writer.get_extra_info("socket")
    if bound is not None and bound.family == socket.AF_INET and not writer.is_closing():
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
