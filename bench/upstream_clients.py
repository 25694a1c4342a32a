"""What the two clients of upstreams cost: CPU of a request and of a chunk, side by side in one run.

`make bench-upstream` measures; the program starts itself again as the server, so that only the client's own CPU
is counted. A request is small and its answer a kilobyte; a chunk is one event of a paced stream, read by itself.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

import uvloop

from edge.upstream.client import Client, ClientKind, Response
from edge.upstream.clients import make_client

AT_ONCE: Final = 32
REQUESTS: Final = 6000
STREAMS: Final = 64
CHUNKS: Final = 200
BETWEEN_CHUNKS_S: Final = 0.005
ROUNDS: Final = 5

_HEADERS: Final = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "x-request-id": "0198e4a1-7a3c-7bb2-9d57-0123456789ab",
    "authorization": "Bearer not-a-key",
}
_QUESTION: Final = b'{"model":"m","messages":[{"role":"user","content":"Hi."}],"max_tokens":16}'
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: fake\r\ncontent-type: application/json\r\n"
    b"x-request-id: 0198e4a1-7a3c-7bb2-9d57-0123456789ab\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000
)
_STREAM: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK: Final = b"96\r\n" + b"x" * 148 + b"\n\n\r\n"


class _Fake(asyncio.Protocol):
    """Answers each request that ends with the question."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.got.endswith(_QUESTION):
            return
        got, self.got = self.got, b""
        if got.startswith(b"POST /stream"):
            self.transport.write(_STREAM)
            self._say(CHUNKS)
        else:
            self.transport.write(_ANSWER)

    def _say(self, left: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(_CHUNK if left else b"0\r\n\r\n")
        if left:
            asyncio.get_running_loop().call_later(BETWEEN_CHUNKS_S, self._say, left - 1)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Fake, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _ask(client: Client, url: str) -> Response:
    return await client.post(url, headers=_HEADERS, body=_QUESTION, connect_timeout_s=5, sent=lambda: None)


async def _requests(client: Client, url: str) -> int:
    async def some() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            response = await _ask(client, url)
            size = 0
            while piece := await response.read():
                size += len(piece)
            response.release()
            if size != 1000:
                raise ValueError("the answer is not whole")

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return REQUESTS // AT_ONCE * AT_ONCE


async def _chunks(client: Client, url: str) -> int:
    async def one() -> int:
        response = await _ask(client, f"{url}stream")
        reads = size = 0
        while piece := await response.read():
            reads += 1
            size += len(piece)
        response.release()
        if size != 150 * CHUNKS:
            raise ValueError("the stream is not whole")
        return reads

    return sum(await asyncio.gather(*(one() for _ in range(STREAMS))))


async def _measured(kind: ClientKind, url: str, work: Callable[[Client, str], Awaitable[int]]) -> float:
    """Microseconds of CPU for each of what the work counts."""
    client = make_client(kind)
    await work(client, url)
    begun_s = time.process_time()
    done = await work(client, url)
    spent_s = time.process_time() - begun_s
    await client.close()
    return spent_s / done * 1e6


def _compare(url: str, rounds: int) -> None:
    for name, work in {"request": _requests, "chunk": _chunks}.items():
        costs: dict[ClientKind, list[float]] = {kind: [] for kind in ClientKind}
        for turn in range(rounds):
            for kind in sorted(ClientKind, reverse=turn % 2 == 0):
                costs[kind].append(uvloop.run(_measured(kind, url, work)))
        for kind, spent in costs.items():
            middle = statistics.median(spent)
            print(f"{name:8} {kind:8} {middle:7.1f} us of CPU ({min(spent):.1f} to {max(spent):.1f})")
        ratio = statistics.median(costs[ClientKind.AIOHTTP]) / statistics.median(costs[ClientKind.POOL])
        print(f"{name:8} aiohttp costs {ratio:.1f} times as much")


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        uvloop.run(_serve())
        return
    server = [sys.executable, "-m", "bench.upstream_clients", "--serve"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline()) if process.stdout else 0
            _compare(f"http://127.0.0.1:{port}/", chosen.rounds)
        finally:
            process.kill()


if __name__ == "__main__":
    _main()
