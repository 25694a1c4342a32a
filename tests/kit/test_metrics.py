"""What a server tells Prometheus."""

import asyncio
import socket
import sys
import time

import grpc
import httpx
import pytest
from prometheus_client import REGISTRY

from kit import metrics
from kit.client import channel
from kit.errors import InvalidArgument, RemoteError
from kit.server import running
from tests.support import echo


def handled(method: str, code: str) -> float:
    name = "grpc_server_handled_total"
    return REGISTRY.get_sample_value(name, {"method": f"/{echo.NAME}/{method}", "code": code}) or 0.0


async def test_calls_are_counted_by_method_and_code_and_timed() -> None:
    async def refuse_empty(request: bytes, _: object) -> bytes:
        if not request:
            raise InvalidArgument("empty")
        return request

    before = handled("Put", "OK"), handled("Put", "INVALID_ARGUMENT")
    async with (
        running(listen="127.0.0.1:0", register=echo.Echo(refuse_empty).register) as target,
        channel(target) as client,
    ):
        await echo.call(client, "Put", b"x")
        with pytest.raises(RemoteError):
            await echo.call(client, "Put")
        with pytest.raises(RemoteError) as unknown:
            await echo.call(client, "NoSuchMethod")
    assert unknown.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert (handled("Put", "OK"), handled("Put", "INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)
    assert handled("NoSuchMethod", "UNIMPLEMENTED") == 0
    seconds = REGISTRY.get_sample_value("grpc_server_handling_seconds_count", {"method": f"/{echo.NAME}/Put"})
    assert seconds is not None
    assert seconds >= 2


async def test_a_process_shows_its_metrics_on_its_own_port_and_none_without_one() -> None:
    metrics.start(None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = f"from kit import metrics, server; metrics.start({port}); print('up', flush=True); input()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert "grpc_server_handling_seconds" in answer.text
    await process.communicate(b"\n")
    assert process.returncode == 0


def asked(method: str, code: str) -> float:
    name = "grpc_client_handled_total"
    return REGISTRY.get_sample_value(name, {"method": f"/{echo.NAME}/{method}", "code": code}) or 0.0


async def test_the_caller_counts_its_calls_too() -> None:
    async def refuse(_: bytes, __: object) -> bytes:
        raise InvalidArgument("no")

    before = asked("Read", "OK"), asked("Read", "INVALID_ARGUMENT"), asked("Read", "UNAVAILABLE")
    server = echo.Echo()
    async with running(listen="127.0.0.1:0", register=server.register) as target, channel(target) as client:
        await echo.call(client, "Read")
        server.answer = refuse
        with pytest.raises(RemoteError):
            await echo.call(client, "Read")
    async with channel("127.0.0.1:9", timeout_s=0.2) as client:
        with pytest.raises(RemoteError):
            await echo.call(client, "Read")
    after = asked("Read", "OK"), asked("Read", "INVALID_ARGUMENT"), asked("Read", "UNAVAILABLE")
    late = asked("Read", "DEADLINE_EXCEEDED")
    assert after[:2] == (before[0] + 1, before[1] + 1)
    assert after[2] + late >= before[2] + 1
    assert (REGISTRY.get_sample_value("grpc_client_handling_seconds_count", {"method": f"/{echo.NAME}/Read"}) or 0) >= 3


async def test_a_busy_loop_is_seen_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LAG_INTERVAL_S", 0.01)
    before = REGISTRY.get_sample_value("event_loop_lag_seconds_sum") or 0.0
    lag = metrics.LoopLag()
    await asyncio.sleep(0)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    lag.stop()
    assert (REGISTRY.get_sample_value("event_loop_lag_seconds_sum") or 0.0) - before >= 0.18
