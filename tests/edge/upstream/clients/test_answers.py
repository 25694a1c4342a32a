"""What is understood of an answer: however its bytes arrive, and whatever is wrong with them."""

import asyncio
import random

import pytest

from edge.upstream.client import Broken, Client
from edge.upstream.pool import Pool
from tests.edge.upstream.clients.asking import Told, ask, read, told
from tests.edge.upstream.clients.raw_server import CLOSE, RawServer, Talk, answers, raw_server
from tests.edge.upstream.clients.recorded import BROKEN, ENDED_BY_CLOSING, SOUND

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("answer,expected", SOUND.values(), ids=SOUND)
async def test_a_sound_answer_is_the_same_at_every_split(client: Client, answer: bytes, expected: Told) -> None:
    splits = [(answer[:at], answer[at:]) for at in range(1, len(answer))]
    each = [(answer,), *splits, tuple(answer[at : at + 1] for at in range(len(answer)))]
    async with raw_server(answers(*each)) as server:
        for pieces in each:
            assert await told(client, server.url()) == expected, pieces
        assert (server.connections, len(server.asked)) == (1, len(each))
        await client.close()


@pytest.mark.parametrize("answer,expected", ENDED_BY_CLOSING.values(), ids=ENDED_BY_CLOSING)
async def test_an_answer_that_ends_with_its_connection_is_the_same_at_every_split(
    client: Client, answer: bytes, expected: Told
) -> None:
    each = [(answer, CLOSE), *((answer[:at], answer[at:], CLOSE) for at in range(1, len(answer)))]
    async with raw_server(answers(*each)) as server:
        for pieces in each:
            assert await told(client, server.url()) == expected, pieces
        assert (server.connections, len(server.asked)) == (len(each), len(each))


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_answer_is_broken_at_every_split(client: Client, answer: bytes) -> None:
    step = 3 if isinstance(client, Pool) else 20
    each = [(answer, CLOSE), *((answer[:at], answer[at:], CLOSE) for at in range(1, len(answer), step))]
    async with raw_server(answers(*each, OK)) as server:
        for pieces in each:
            assert (await told(client, server.url())).broken, pieces
        assert await told(client, server.url()) == Told(200, "", b"ok")
        assert (server.connections, len(server.asked)) == (len(each) + 1, len(each) + 1)
        await client.close()


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name.startswith(("a ", "an ", "two", "chunks", "no HTTP"))]
)
async def test_nonsense_is_not_waited_out(client: Client, name: str) -> None:
    """The server keeps the connection open: it is closed by us."""
    async with raw_server(answers(BROKEN[name])) as server:
        assert (await told(client, server.url())).broken


async def test_a_switch_of_protocols_is_no_answer(client: Client) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\nPRI * HTTP/2.0\r\n\r\n"
    async with raw_server(answers([switch, CLOSE])) as server:
        said = await told(client, server.url())
        assert said.broken or said.status == 101
        await client.close()


async def flood(server: RawServer, talk: Talk) -> None:
    """Sends the last piece over and over, as long as it is taken."""
    server.asked.append(await talk.request())
    talk.writer.write(FLOODS[server.asked[-1].body.decode()][0])
    piece = FLOODS[server.asked[-1].body.decode()][1] * 1000
    for _ in range(100):
        talk.writer.write(piece)
        await talk.writer.drain()


FLOODS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 100 + b"\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 100),
    "a reason": (b"HTTP/1.1 200 ", b"y" * 100),
    "trailers": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"y" * 100 + b"\r\n"),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_head_without_end_is_refused(client: Client, name: str) -> None:
    async with raw_server(flood) as server:
        assert (await told(client, server.url(), body=name.encode())).broken
        assert server.connections == 1


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(client: Client) -> None:
    poison = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
    async with raw_server(answers([OK + poison], OK)) as server:
        for _ in range(3):
            assert await told(client, server.url()) == Told(200, "", b"ok")
        assert server.connections == 2
        await client.close()


async def test_an_answer_before_the_request_closes_the_connection(client: Client) -> None:
    """It came while the connection was kept: whoever sends it has another idea of whose turn it is."""
    poison = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"

    async def handle(server: RawServer, talk: Talk) -> None:
        server.asked.append(await talk.request())
        await talk.say(OK)
        if talk.number == 1:
            talk.writer.write(poison)

    async with raw_server(handle) as server:
        assert await told(client, server.url()) == Told(200, "", b"ok")
        assert await told(client, server.url()) == Told(200, "", b"ok")
        assert server.connections == 2
        await client.close()


def damaged(answer: bytes, draw: random.Random) -> bytes:
    """The answer with some bytes changed, missing, doubled or added."""
    some = bytearray(answer)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(some))
        how = draw.randrange(4)
        if how == 0:
            some[at] = draw.randrange(256)
        elif how == 1:
            del some[at]
        elif how == 2:
            some[at:at] = draw.choice([b"\r\n", b"\0", b" ", b":", b"chunked", b"\xff\xfe", b"0\r\n\r\n", b"HTTP/1.1 "])
        else:
            end = draw.randint(at, len(some))
            some[at:at] = some[at:end]
    return bytes(some)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_comes_ends_in_an_answer_or_an_error(client: Client, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    whole = [answer for answer, _ in (*SOUND.values(), *ENDED_BY_CLOSING.values())]
    each = [damaged(draw.choice(whole), draw) for _ in range(60)]
    cuts = [sorted(draw.sample(range(len(answer) + 1), 2)) for answer in each]
    pieces = [
        tuple(piece for piece in (answer[:a], answer[a:b], answer[b:]) if piece)
        for answer, (a, b) in zip(each, cuts, strict=True)
    ]
    async with raw_server(answers(*((*some, CLOSE) for some in pieces), OK)) as server:
        # A connection that the server is closing may be asked too, so there are more requests than it sees.
        for _ in range(3 * len(pieces)):
            if len(server.asked) == len(pieces):
                break
            said = await told(client, server.url())
            assert said.broken or 100 <= said.status <= 999
        await asyncio.sleep(0.01)
        assert await told(client, server.url()) == Told(200, "", b"ok")
        await client.close()


async def test_what_had_come_before_an_error_is_read_before_it(client: Client) -> None:
    async with raw_server(answers([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", CLOSE])) as server:
        response = await ask(client, server.url())
        with pytest.raises(Broken):
            await read(response)
        response.release()
