"""The life of a server: health, readiness, drain on SIGTERM, what stops it."""

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kit import presence
from kit.client import channel
from kit.errors import RemoteError
from kit.health import LIVENESS, TAKES_CALLS, is_serving
from kit.server import running
from tests.support import echo, echo_process
from tests.support.waiting import eventually


@asynccontextmanager
async def started(address: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", echo_process.__name__, address, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sigterm_lets_running_calls_end_and_takes_no_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "RESTART_S", 0.1)  # who has come too late to be refused would wait for the next one
    address = f"unix:{tmp_path}/echo"
    async with started(address) as process, channel(address) as client:
        await eventually(lambda: is_serving(client), within_s=20, what="the server")
        running_call = asyncio.create_task(echo.call(client, "Post", b"4"))
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGTERM)
        async with channel(address) as late:
            await eventually(lambda: refused(late), what="refusal of new calls")
        assert not running_call.done()
        assert await running_call == b"slept"
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert out == b"background cancelled\n"
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["listening", "draining", "stopped"]


async def refused(client: grpc.aio.Channel) -> bool:
    try:
        await echo.call(client, "Post")
    except RemoteError as error:
        return error.code is grpc.StatusCode.UNAVAILABLE
    return False


async def test_a_background_task_that_dies_stops_the_process(tmp_path: Path) -> None:
    async with started(f"unix:{tmp_path}/echo", "death") as process:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert out == b"background cancelled\n"
    events = {line["event"]: line for line in map(json.loads, err.splitlines())}
    assert "the relay broke" in events["background_task_died"]["exception"]


async def test_a_background_task_that_loses_a_cancellation_is_cancelled_again(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/echo"
    async with started(address, "deaf") as process:
        async with channel(address) as client:
            await eventually(lambda: is_serving(client), within_s=20, what="the server")
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert out == b"background cancelled\n"


async def test_a_killed_servers_socket_is_no_obstacle_but_a_living_ones_is(tmp_path: Path) -> None:
    stale = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(stale))
    register = echo.Echo().register
    async with running(listen=f"unix:{stale}", register=register) as target, channel(target) as client:
        assert await echo.call(client, "Post", b"hello") == b"hello"
        with pytest.raises(OSError, match="in use"):
            async with running(listen=f"unix:{stale}", register=register):
                pass
        assert await echo.call(client, "Post", b"still") == b"still"


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("dear diary")
    with pytest.raises(OSError, match="no socket"):
        async with running(listen=f"unix:{tmp_path}/notes", register=echo.Echo().register):
            pass
    assert (tmp_path / "notes").read_text() == "dear diary"


async def test_a_taken_port_is_an_error() -> None:
    async with running(listen="127.0.0.1:0", register=echo.Echo().register) as target:
        with pytest.raises(OSError, match="cannot listen"):
            async with running(listen=target, register=echo.Echo().register):
                pass


async def test_readiness_follows_the_check_while_liveness_stays() -> None:
    answers: list[Callable[[], bool]] = [lambda: False]

    async def ready() -> bool:
        return answers[-1]()

    def broken() -> bool:
        raise ConnectionError("database away")

    async with (
        running(listen="127.0.0.1:0", register=echo.Echo().register, services=[echo.NAME], ready=ready) as target,
        channel(target) as client,
    ):
        assert not await is_serving(client)
        assert await is_serving(client, LIVENESS)
        assert await is_serving(client, TAKES_CALLS)
        answers.append(lambda: True)
        for name in ("readiness", echo.NAME):
            await eventually(lambda name=name: is_serving(client, name))  # type: ignore[misc]
        answers.append(broken)
        await eventually(lambda: not_serving(client))
        assert await is_serving(client, LIVENESS)
        assert await is_serving(client, TAKES_CALLS)


async def not_serving(client: grpc.aio.Channel) -> bool:
    return not await is_serving(client)


async def test_nobody_is_not_serving() -> None:
    async with channel("127.0.0.1:1") as nobody:
        assert not await is_serving(nobody)


async def test_reflection_lists_the_services() -> None:
    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with (
        running(listen="127.0.0.1:0", register=echo.Echo().register, services=[echo.NAME]) as target,
        channel(target) as client,
    ):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(client)  # type: ignore[arg-type]
        async for answer in stub.ServerReflectionInfo(ask()):
            names = {service.name for service in answer.list_services_response.service}
    assert names == {echo.NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_pings_that_keep_an_idle_connection_alive_are_welcome() -> None:
    async with running(listen="127.0.0.1:0", register=lambda _: None) as target:
        host, _, port = target.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS))
        answered = 0
        for number in range(6):  # a server that counts these as abuse hangs up at the fourth
            writer.write(_frame(_PING, number.to_bytes(8)))
            answered += await _answered(reader)
            await asyncio.sleep(0.6)  # slower than the server's limit, much faster than our clients
        writer.close()
    assert answered == 6


_SETTINGS, _PING, _GOAWAY = 4, 6, 7


def _frame(kind: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + bytes(4) + payload


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Whether the server's next word is an answer to a ping, not a farewell."""
    while True:
        head = await asyncio.wait_for(reader.readexactly(9), 15)
        await reader.readexactly(int.from_bytes(head[:3]))
        if head[3] in {_PING, _GOAWAY}:
            return head[3] == _PING


@pytest.mark.parametrize("module", ["kit.server", "kit.client"])
def test_every_option_is_one_that_grpc_knows(module: str) -> None:
    """It ignores a misspelt one in silence."""
    library, source = (Path(str(spec and spec.origin)) for spec in map(find_spec, ("grpc._cython.cygrpc", module)))
    named = set(re.findall(r'"(grpc\.[a-z0-9_.]+)"', source.read_text()))
    assert named
    assert {name for name in named if name.encode() not in library.read_bytes()} == set()
