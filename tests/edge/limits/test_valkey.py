"""The client that runs scripts: any split of answers, errors, lost and silent connections, what an address may say."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from edge.limits.valkey import Answer, Script, Valkey, ValkeyError, _read
from kit.tls import AUTHORITIES, CERTIFICATE, KEY
from tests.support.certificates import Workshop

NUMBERS = Script("local all = {} for place, each in ipairs(ARGV) do all[place] = tonumber(each) end return all")
PATIENCE_S = 5.0


async def run(valkey: Valkey, *numbers: int, script: Script = NUMBERS) -> Answer:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    valkey.run(script, ["a", "b"], numbers, future.set_result)
    return await future


@asynccontextmanager
async def server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Something that listens in Valkey's place; its port."""
    talks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)


async def test_scripts_answer_in_order_also_those_that_valkey_does_not_know_yet(redis_url: str) -> None:
    valkey = Valkey(redis_url, timeout_s=PATIENCE_S)
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
    assert await run(valkey, 1) == [1]
    assert await asyncio.gather(*(run(valkey, *range(count)) for count in range(300))) == [
        list(range(count)) for count in range(300)
    ]
    assert await run(valkey, -5, 2**53) == [-5, 2**53]
    await valkey.close()


async def test_an_error_is_the_answer_of_its_script_alone(redis_url: str) -> None:
    valkey = Valkey(redis_url, timeout_s=PATIENCE_S)
    wrong, right = await asyncio.gather(run(valkey, script=Script("return redis.call('NOTHING')")), run(valkey, 7))
    assert isinstance(wrong, ValkeyError)
    assert right == [7]
    await valkey.close()


async def test_name_password_and_database_are_those_of_the_address(redis_url: str) -> None:
    script = Script("redis.call('SET', KEYS[1], ARGV[1]) return {1}")
    async with Redis.from_url(redis_url) as redis:
        await redis.acl_setuser("limits", enabled=True, passwords=["+se cret"], keys=["*"], commands=["+@all"])
        path = redis_url.partition("://")[2]
        try:
            valkey = Valkey(f"unix://limits:se%20cret@{path}?db=3", timeout_s=PATIENCE_S)
            assert await run(valkey, 1, script=script) == [1]
            await valkey.close()
            async with Redis.from_url(f"unix://{path}?db=3") as third:
                assert await third.getdel("a") == b"1"
            for address in (f"unix://limits:wrong@{path}", f"unix://{path}?db=100000"):
                refused = Valkey(address, timeout_s=PATIENCE_S)
                assert isinstance(await run(refused, 1), ValkeyError)
                await refused.close()
        finally:
            await redis.acl_deluser("limits")


async def test_a_lost_connection_is_told_to_all_who_wait_and_the_next_call_makes_another() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"EVALSHA")
        if connections > 1:
            writer.write(b"*1\r\n:2\r\n")
            await reader.read()

    async with server(talk) as port:
        valkey = Valkey(f"redis://127.0.0.1:{port}", timeout_s=PATIENCE_S)
        answers = await asyncio.gather(run(valkey, 1), run(valkey, 2))
        assert all(isinstance(each, ValkeyError) and "connection was" in str(each) for each in answers)
        assert await run(valkey, 2) == [2]
        await valkey.close()


async def test_silence_ends_the_connection_for_all_who_wait() -> None:
    gone = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with server(say_nothing) as port:
        valkey = Valkey(f"redis://127.0.0.1:{port}", timeout_s=0.1)
        answers = await asyncio.gather(run(valkey, 1), run(valkey, 2))
        assert all(isinstance(each, ValkeyError) and "no answer within" in str(each) for each in answers)
        await asyncio.wait_for(gone.wait(), PATIENCE_S)


async def test_an_answer_that_came_while_the_loop_stood_still_counts(redis_url: str) -> None:
    valkey = Valkey(redis_url, timeout_s=0.2)
    assert await run(valkey, 1) == [1]
    asking = [asyncio.create_task(run(valkey, number)) for number in range(3)]
    await asyncio.sleep(0)
    time.sleep(0.5)
    assert await asyncio.gather(*asking) == [[0], [1], [2]]
    await valkey.close()


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 400 Bad Request\r\n", b"*2\r\n:1\r\n$1\r\n", b":x\r\n", b"*-\r\n", b":1\r\n:2\r\n"]
)
async def test_nonsense_ends_the_connection(nonsense: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(nonsense)
        await reader.read()

    async with server(talk) as port:
        valkey = Valkey(f"redis://127.0.0.1:{port}", timeout_s=PATIENCE_S)
        first = await run(valkey, 1)
        assert isinstance(first, ValkeyError) or (first == [1] and nonsense.startswith(b":1"))
        assert valkey._link
        assert valkey._link.is_closed


async def test_nobody_there_is_an_error_at_once() -> None:
    for address in ("redis://127.0.0.1:1", "unix:///nowhere/valkey.sock"):
        valkey = Valkey(address, timeout_s=PATIENCE_S)
        answer = await run(valkey, 1)
        await valkey.close()
        assert isinstance(answer, ValkeyError)
        assert "within" not in str(answer)
    with pytest.raises(ValueError, match="scheme"):
        Valkey("http://127.0.0.1", timeout_s=1)


async def test_over_tls_the_server_must_be_who_it_says(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"*2\r\n:3\r\n:4\r\n")
        writer.close()

    home = Workshop(tmp_path).issue("valkey", names=("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(home / CERTIFICATE, home / KEY)
    async with server(talk, context) as port:
        trusting = Valkey(f"rediss://localhost:{port}?ssl_ca_certs={home / AUTHORITIES}", timeout_s=PATIENCE_S)
        assert await run(trusting, 1) == [3, 4]
        await trusting.close()
        doubting = await run(Valkey(f"rediss://localhost:{port}", timeout_s=PATIENCE_S), 1)
        assert isinstance(doubting, ValkeyError)
        assert "certificate" in str(doubting)


@given(
    answers=st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4), max_size=5),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_answers_are_read_however_they_are_cut(answers: list[list[int]], cuts: list[int]) -> None:
    data = b"".join(b"*%d\r\n" % len(each) + b"".join(b":%d\r\n" % one for one in each) for each in answers)
    data += b"+OK\r\n:5\r\n"
    found: list[Answer] = []
    rest, start = b"", 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        rest, start, at = rest + data[start:cut], cut, 0
        while at < len(rest) and (read := _read(rest, at)):
            found.append(read[0])
            at = read[1]
        rest = rest[at:]
    assert found == [*answers, [], [5]]
    assert not rest
