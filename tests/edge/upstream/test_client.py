"""The connection to upstreams: when a request counts as sent."""

import asyncio
import socket
from contextlib import suppress

from edge.upstream.client import AiohttpClient


async def test_a_request_is_not_sent_while_there_is_no_connection() -> None:
    """A client that leaves now has cost nobody anything."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.create_connection(deaf.getsockname()):  # fills the queue: the next one waits for ever
            assert await sent_within(0.3, port=deaf.getsockname()[1]) == []


async def test_a_request_is_sent_once_its_body_goes_out() -> None:
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        assert await sent_within(0.3, port=server.sockets[0].getsockname()[1]) == ["sent"]
        await asyncio.wait_for(gone.wait(), 5)


async def sent_within(time_s: float, *, port: int) -> list[str]:
    sent: list[str] = []
    client = AiohttpClient()
    with suppress(TimeoutError):
        async with asyncio.timeout(time_s):
            await client.post(
                f"http://127.0.0.1:{port}/",
                headers={},
                body=b"{}",
                connect_timeout_s=5.0,
                sent=lambda: sent.append("sent"),
            )
    await client.close()
    return sent
