"""When a request counts as sent, what goes out then, and what surely was not sent."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge.upstream.client import Broken, Client, ClientKind, Unreachable
from edge.upstream.clients import make_client
from kit.tls import AUTHORITIES, CERTIFICATE, KEY
from tests.edge.upstream.clients.asking import HEADERS, Told, ask, told
from tests.edge.upstream.clients.raw_server import CLOSE, RawServer, Talk, answers, raw_server
from tests.support.certificates import Workshop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where a connection is neither made nor refused."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        with socket.create_connection(listening.getsockname()):  # It fills the queue: the next one waits for ever.
            yield listening.getsockname()[1]


async def sent_within(client: Client, url: str, time_s: float, *, headers: dict[str, str] | None = None) -> list[str]:
    sent: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(time_s):
            await client.post(
                url,
                headers=HEADERS if headers is None else headers,
                body=b"{}",
                connect_timeout_s=5.0,
                sent=lambda: sent.append("sent"),
            )
    return sent


async def test_a_request_is_not_sent_while_there_is_no_connection(client: Client, deaf: int) -> None:
    """A client that leaves now has cost nobody anything."""
    assert await sent_within(client, f"http://127.0.0.1:{deaf}/", 0.2) == []


async def test_a_request_is_sent_once_its_body_goes_out(client: Client) -> None:
    gone = asyncio.Event()

    async def swallow(server: RawServer, talk: Talk) -> None:
        await talk.reader.read()
        gone.set()

    async with raw_server(swallow) as server:
        assert await sent_within(client, server.url(), 0.2) == ["sent"]
        await asyncio.wait_for(gone.wait(), 1)


async def test_it_goes_out_as_it_should(client: Client) -> None:
    async with raw_server(answers(OK)) as server:
        await told(client, server.url("/prefix/v1/responses?api-version=2"), body=b'{"a": 1}')
        await client.close()
    (asked,) = server.asked
    assert asked.head.startswith(b"POST /prefix/v1/responses?api-version=2 HTTP/1.1\r\n")
    assert asked.headers == {"host": f"127.0.0.1:{server.port}", "content-length": "8", **HEADERS}
    assert asked.body == b'{"a": 1}'


@pytest.mark.parametrize("size", [0, 1000, 100_000, 8_000_000])
async def test_a_body_of_any_size_arrives(client: Client, size: int) -> None:
    async with raw_server(answers(OK)) as server:
        for _ in range(2):
            assert await told(client, server.url(), body=b"x" * size) == Told(200, "", b"ok")
        assert [len(asked.body) for asked in server.asked] == [size, size]
        assert server.connections == 1
        await client.close()


@pytest.mark.parametrize(
    "url", ["http:///v1", "ftp://127.0.0.1/v1", "127.0.0.1/v1", "http://127.0.0.1:99999/", "http://127.0.0.1:1/", ""]
)
async def test_where_nobody_can_be_reached_nothing_is_sent(client: Client, url: str) -> None:
    with pytest.raises(Unreachable):
        await sent_within(client, url, 5)


async def test_a_name_that_nobody_has_is_unreachable(client: Client) -> None:
    with pytest.raises(Unreachable):
        await sent_within(client, "http://nowhere.invalid/v1", 10)


async def test_a_server_that_takes_no_connection_in_time_is_unreachable(client: Client, deaf: int) -> None:
    with pytest.raises(Unreachable):
        await ask(client, f"http://127.0.0.1:{deaf}/", connect_timeout_s=0.2)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "a\rb", "a\0b"])
async def test_a_header_that_would_be_two_is_never_sent(client: Client, value: str) -> None:
    async with raw_server(answers(OK)) as server:
        with pytest.raises(Unreachable):
            await sent_within(client, server.url(), 5, headers={"authorization": value})
        assert await told(client, server.url()) == Told(200, "", b"ok")
        await client.close()
    assert [asked.headers.get("authorization") for asked in server.asked] == [None]


async def test_a_request_whose_connection_closes_is_not_sent_again(client: Client) -> None:
    """It may have run: whether it is repeated is for the money path to say."""

    async def handle(server: RawServer, talk: Talk) -> None:
        server.asked.append(await talk.request())
        if len(server.asked) == 1:
            await talk.say(OK)
            server.asked.append(await talk.request())
        await talk.say(CLOSE)

    async with raw_server(handle) as server:
        assert await told(client, server.url()) == Told(200, "", b"ok")
        with pytest.raises(Broken):
            await ask(client, server.url())
        assert (len(server.asked), server.connections) == (2, 1)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return Workshop(tmp_path).issue("edge", names=("127.0.0.1", "localhost"))


def serving(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / CERTIFICATE, certificates / KEY)
    return context


async def test_tls_works_with_whom_one_believes(kind: ClientKind, certificates: Path) -> None:
    client = make_client(kind, tls=ssl.create_default_context(cafile=str(certificates / AUTHORITIES)))
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000
    async with raw_server(answers(OK, long, OK), tls=serving(certificates)) as server:
        server.host = "localhost"
        for size in (2, 3_000_000, 2):
            assert len((await told(client, server.url(), body=b"y" * 300_000)).body) == size
        assert server.connections == 1
        assert {len(asked.body) for asked in server.asked} == {300_000}
        await client.close()


async def test_whom_one_does_not_believe_gets_nothing(client: Client, certificates: Path) -> None:
    async with raw_server(answers(OK), tls=serving(certificates)) as server:
        with pytest.raises(Unreachable):
            await sent_within(client, server.url(), 5)
        assert server.asked == []


async def test_a_certificate_of_another_name_gets_nothing(kind: ClientKind, tmp_path: Path) -> None:
    certificates = Workshop(tmp_path).issue("edge", names=("elsewhere",))
    client = make_client(kind, tls=ssl.create_default_context(cafile=str(certificates / AUTHORITIES)))
    async with raw_server(answers(OK), tls=serving(certificates)) as server:
        with pytest.raises(Unreachable):
            await sent_within(client, server.url(), 5)
        assert server.asked == []
        await client.close()


async def test_a_handshake_that_hangs_is_given_up(client: Client) -> None:
    async def silent(server: RawServer, talk: Talk) -> None:
        await talk.reader.read()

    async with raw_server(silent) as server:
        server.scheme = "https"
        with pytest.raises(Unreachable):
            await ask(client, server.url(), connect_timeout_s=0.2)


async def test_a_broken_answer_is_not_quoted(client: Client) -> None:
    said = [
        b"what the model said\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nwhat the model said\x01: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nwhat the model said\r\n",
    ]
    async with raw_server(answers(*((one, CLOSE) for one in said))) as server:
        for _ in said:
            with pytest.raises(Broken) as broken:
                await (await ask(client, server.url())).read()
            assert "the model" not in str(broken.value)
        await client.close()
