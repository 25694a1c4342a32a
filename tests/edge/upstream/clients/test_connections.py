"""Which connection a request gets, what becomes of it afterwards, and who waits for whom."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from edge.upstream import aiohttp_client, pool, sites
from edge.upstream.client import Broken, Client, ClientKind
from edge.upstream.clients import make_client
from tests.edge.upstream.clients.asking import Told, ask, read, told
from tests.edge.upstream.clients.raw_server import CLOSE, Asked, RawServer, Talk, answers, raw_server
from tests.support.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


async def hang(server: RawServer, talk: Talk) -> None:
    """Says what it was asked to say, and then nothing."""
    asked = await talk.request()
    server.asked.append(asked)
    await talk.say(*([asked.body] if asked.body else []))
    await talk.reader.read()


async def closed(server: RawServer, *, within_s: float = 1.0) -> None:
    async def none_is_open() -> bool:
        return server.open == 0

    await eventually(none_is_open, within_s=within_s, what="the connection to be closed")


async def asked(server: RawServer, times: int = 1) -> None:
    async def was_asked() -> bool:
        return len(server.asked) >= times

    await eventually(was_asked, what="the server to be asked")


def connections(state: str) -> float | None:
    return REGISTRY.get_sample_value("edge_upstream_connections", {"state": state})


async def test_its_connections_can_be_counted(client: Client) -> None:
    assert (connections("used"), connections("idle")) == (0, 0)
    async with raw_server(answers(OK)) as server:
        response = await ask(client, server.url())
        assert (connections("used"), connections("idle")) in {(1, 0), (0, 1)}  # aiohttp gives it back by itself
        await read(response)
        response.release()
        assert (connections("used"), connections("idle")) == (0, 1)
        await client.close()
    assert (connections("used"), connections("idle")) == (0, 0)


async def test_two_at_a_time_need_two_connections_and_pipeline_nothing(client: Client) -> None:
    async def slow(server: RawServer, talk: Talk) -> None:
        while True:
            server.asked.append(await talk.request())
            await asyncio.sleep(0.05)
            assert not talk.reader._buffer  # type: ignore[attr-defined]
            await talk.say(OK)

    async with raw_server(slow) as server:
        for _ in range(2):
            both = await asyncio.gather(*(told(client, server.url()) for _ in range(2)))
            assert both == [Told(200, "", b"ok")] * 2
        assert server.connections == 2
        await client.close()


async def test_whoever_leaves_before_the_head_closes_the_connection(client: Client) -> None:
    async with raw_server(hang) as server:
        asking = asyncio.create_task(ask(client, server.url(), body=b""))
        await asked(server)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await closed(server)


async def test_whoever_leaves_while_waiting_for_more_closes_the_connection(client: Client) -> None:
    async with raw_server(hang) as server:
        response = await ask(client, server.url(), body=STREAM + CHUNK)
        await response.read()
        reading = asyncio.create_task(read(response))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        response.release()
        await closed(server)


@pytest.mark.parametrize("end", ["release", "abort"])
async def test_an_answer_that_is_given_back_in_the_middle_closes_the_connection(client: Client, end: str) -> None:
    async with raw_server(hang) as server:
        response = await ask(client, server.url(), body=STREAM + CHUNK)
        getattr(response, end)()
        await closed(server)
        response.release()
        response.abort()


async def finished(client: Client, server: RawServer) -> None:
    """Reads an answer up to where it says that it is over."""
    response = await ask(client, server.url())
    assert await response.read() == b"ab"
    response.finish()
    response.finish()
    response.release()


async def test_a_connection_whose_answer_ends_soon_after_it_is_over_is_kept(
    client: Client, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_END_S", 30.0)

    async def late(server: RawServer, talk: Talk) -> None:
        while True:
            server.asked.append(await talk.request())
            await talk.say(STREAM + b"2\r\nab\r\n")
            await asyncio.sleep(0.02)
            await talk.say(b"0\r\n\r\n")

    async def is_over() -> bool:
        return connections("idle") == 1 if kind is ClientKind.POOL else server.open == 0

    async with raw_server(late) as server:
        for _ in range(3):
            await finished(client, server)
            await eventually(is_over, what="the connection to be kept or closed")
        assert server.connections == (1 if kind is ClientKind.POOL else 3)
        await client.close()


@pytest.mark.parametrize("rest", [b"1", b"2\r\ncd\r\n", b"nonsense\r\n", CLOSE])
async def test_a_connection_whose_answer_is_not_over_after_all_is_closed(client: Client, rest: bytes) -> None:
    async def wrong(server: RawServer, talk: Talk) -> None:
        server.asked.append(await talk.request())
        await talk.say(STREAM + b"2\r\nab\r\n")
        await asyncio.sleep(0.02)
        await talk.say(rest)
        await talk.reader.read()

    async with raw_server(wrong) as server:
        await finished(client, server)
        await closed(server, within_s=5)
        assert (connections("used"), connections("idle")) == (0, 0)


async def test_an_answer_given_back_twice_does_not_touch_the_next(client: Client) -> None:
    async with raw_server(answers(OK, STREAM + b"2\r\nab\r\n")) as server:
        first = await ask(client, server.url())
        assert await read(first) == b"ok"
        first.release()
        second = await ask(client, server.url())
        first.release()
        first.abort()
        assert await second.read() == b"ab"
        assert (server.open, server.connections) == (1, 1)
        second.abort()
        await closed(server)


async def test_a_connection_that_the_server_has_closed_is_not_used(client: Client) -> None:
    async with raw_server(answers([OK, CLOSE])) as server:
        for _ in range(5):
            assert await told(client, server.url()) == Told(200, "", b"ok")
            await closed(server)
        assert server.connections == 5


async def test_a_connection_that_closed_while_the_loop_was_busy_is_not_used() -> None:
    """The pool asks the system; with aiohttp such a request is broken."""
    client = make_client(ClientKind.POOL)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(15)

        def answer_one() -> socket.socket:
            connection, _ = listening.accept()
            while not connection.recv(65536).endswith(b"{}"):
                pass
            connection.sendall(OK)
            return connection

        for _ in range(3):
            serving = asyncio.get_running_loop().run_in_executor(None, answer_one)
            assert await told(client, f"http://127.0.0.1:{listening.getsockname()[1]}/") == Told(200, "", b"ok")
            connection = await serving
            time.sleep(0.005)
            connection.close()
    await client.close()


async def test_idle_connections_are_closed_in_time(kind: ClientKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(aiohttp_client, "KEEP_ALIVE_S", 0.2)
    client = make_client(kind)
    async with raw_server(answers(OK)) as server:
        await told(client, server.url())
        await asyncio.sleep(0.3)
        await told(client, server.url())
        assert server.connections == 2
        await closed(server, within_s=5)
        await client.close()


async def test_an_early_answer_is_heard_and_its_connection_not_used_again(client: Client) -> None:
    """The server refuses without reading all: what is left of the request would be taken for the next one."""
    refused = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"

    async def refuse(server: RawServer, talk: Talk) -> None:
        await talk.reader.readuntil(b"\r\n\r\n")
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await talk.say(refused)
        await asyncio.sleep(0.2)
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await talk.reader.read()

    async with raw_server(refuse) as server:
        response = await ask(client, server.url(), body=b"x" * 30_000_000)
        assert (response.status, await read(response)) == (413, b"")
        response.release()
        await closed(server)
        assert server.connections == 1


async def test_a_server_that_does_not_read_does_not_keep_a_client_that_leaves(client: Client) -> None:
    deafness = asyncio.Event()

    async def deaf(server: RawServer, talk: Talk) -> None:
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        deafness.set()
        await asyncio.sleep(0.2)
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await talk.reader.read()

    async with raw_server(deaf) as server:
        asking = asyncio.create_task(ask(client, server.url(), body=b"x" * 30_000_000))
        await asyncio.wait_for(deafness.wait(), 15)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await closed(server)


async def test_who_does_not_read_holds_up_the_server_and_loses_nothing(client: Client) -> None:
    sent = 0

    async def pour(server: RawServer, talk: Talk) -> None:
        nonlocal sent
        server.asked.append(await talk.request())
        talk.writer.write(STREAM)
        for _ in range(600):
            talk.writer.write(CHUNK)
            await talk.writer.drain()
            sent += 1
        talk.writer.write(b"0\r\n\r\n")

    async def is_held_up() -> bool:
        before = sent
        await asyncio.sleep(0.1)
        return sent == before > 0

    async with raw_server(pour) as server:
        response = await ask(client, server.url())
        await eventually(is_held_up, what="the server to be held up")
        assert sent < 300
        largest = size = 0
        while piece := await response.read():
            largest, size = max(largest, len(piece)), size + len(piece)
        assert (size, sent) == (600 * 65536, 600)
        assert largest < 1_000_000
        response.release()
        await client.close()


async def test_at_the_limit_one_waits_for_another_to_end(kind: ClientKind) -> None:
    client = make_client(kind, max_connections=2)
    most = 0

    async def busy(server: RawServer, talk: Talk) -> None:
        nonlocal most
        while True:
            await talk.request()
            server.asked.append(Asked(b"", b"", talk.number))
            most = max(most, len(server.asked) - done)
            await asyncio.sleep(0.005)
            await talk.say(OK)

    done = 0
    async with raw_server(busy) as server:
        for task in asyncio.as_completed([told(client, server.url()) for _ in range(20)]):
            assert await task == Told(200, "", b"ok")
            done += 1
        assert (len(server.asked), server.connections) == (20, 2)
        assert most <= 4
        await client.close()


async def test_who_leaves_the_queue_at_the_limit_takes_no_place(kind: ClientKind) -> None:
    client = make_client(kind, max_connections=1)
    async with raw_server(hang) as server:
        first = await ask(client, server.url(), body=STREAM + CHUNK)
        waiting = [asyncio.create_task(ask(client, server.url(), body=STREAM + CHUNK)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert len(server.asked) == 1
        waiting[0].cancel()
        await asyncio.sleep(0)
        if kind is ClientKind.POOL:  # aiohttp loses the place that is handed to one who just leaves.
            first.release()
        waiting[1].cancel()
        await asyncio.sleep(0)
        first.release()
        last = await asyncio.wait_for(waiting[2], 15)
        assert last.status == 200
        last.abort()
        assert [task.cancelled() for task in waiting[:2]] == [True, True]
        await client.close()


async def test_closing_closes_what_is_in_use_too(kind: ClientKind) -> None:
    client = make_client(kind)
    async with raw_server(hang) as server:
        response = await ask(client, server.url(), body=STREAM + CHUNK)
        waiting = asyncio.create_task(ask(client, server.url(), body=b""))
        await asked(server, 2)
        await client.close()
        await closed(server)
        with pytest.raises(Broken):
            await asyncio.wait_for(waiting, 15)
        response.release()


async def test_a_name_with_several_addresses_is_reached_by_the_one_that_works(client: Client) -> None:
    """`localhost` may be ::1 first, where nobody listens."""
    async with raw_server(answers(OK)) as server:
        server.host = "localhost"
        for _ in range(3):
            assert await told(client, server.url()) == Told(200, "", b"ok")
        assert server.asked[0].headers["host"] == f"localhost:{server.port}"
        await client.close()


@pytest.mark.parametrize(
    "break_off", [lambda talk: talk.writer.transport.abort(), lambda talk: talk.writer.close()], ids=["abort", "close"]
)
async def test_many_that_break_leave_nothing_behind(client: Client, break_off: Callable[[Talk], None]) -> None:
    async def fickle(server: RawServer, talk: Talk) -> None:
        server.asked.append(await talk.request())
        await talk.say(STREAM + CHUNK if len(server.asked) % 2 else b"HTTP/1.1 200")
        break_off(talk)

    async with raw_server(fickle) as server:
        said = await asyncio.gather(*(told(client, server.url()) for _ in range(40)))
        assert all(one.broken for one in said)
        await closed(server, within_s=5)
        assert (connections("used"), connections("idle")) == (0, 0)
