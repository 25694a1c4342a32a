"""The connection to upstreams: when a request counts as sent."""

import asyncio
import socket
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from edge.upstream.client import AiohttpClient, Broken


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


@pytest.mark.parametrize(
    "said",
    [
        b"what the model said\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nwhat the model said\x01: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nwhat the model said\r\n",
    ],
)
async def test_a_broken_answer_is_not_quoted(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(said)
        await writer.drain()
        writer.close()

    client = AiohttpClient()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(Broken) as broken:
            await read_all(client, url)
    assert "the model" not in str(broken.value)
    await client.close()


async def read_all(client: AiohttpClient, url: str) -> None:
    response = await client.post(url, headers={}, body=b"{}", connect_timeout_s=5.0, sent=lambda: None)
    while await response.read():
        pass


async def test_its_connections_can_be_counted() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.read()
        writer.close()

    def connections(state: str) -> float | None:
        return REGISTRY.get_sample_value("edge_upstream_connections", {"state": state})

    client = AiohttpClient()
    assert (connections("used"), connections("idle")) == (0, 0)
    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        response = await client.post(url, headers={}, body=b"{}", connect_timeout_s=5.0, sent=lambda: None)
        while await response.read():
            pass
        response.release()
        assert (connections("used"), connections("idle")) == (0, 1)
        await client.close()
