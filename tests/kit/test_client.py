"""Calls between processes: deadlines, errors, retries, request ids."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kit.client import channel, service_config
from kit.errors import AppError, InvalidArgument, RemoteError, Unavailable
from kit.logs import request_id
from kit.server import running
from kit.wire import REQUEST_ID_KEY
from tests.support import echo


class OutOfStock(AppError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "OUT_OF_STOCK"
    domain = "shop.test"


@pytest.fixture
def service() -> echo.Echo:
    return echo.Echo()


@pytest.fixture
async def client(service: echo.Echo) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        running(listen="127.0.0.1:0", register=service.register, drain_s=0) as target,
        channel(target, echo.descriptor(), timeout_s=60.0) as connected,
    ):
        yield connected


async def test_a_call_is_answered(client: grpc.aio.Channel) -> None:
    assert await echo.call(client, "Read", b"hello") == b"hello"


async def test_unix_sockets_work_too(service: echo.Echo, tmp_path: Path) -> None:
    async with (
        running(listen=f"unix:{tmp_path}/s", register=service.register) as target,
        channel(target) as connected,
    ):
        assert await echo.call(connected, "Post", b"hello") == b"hello"


async def test_an_app_error_arrives_whole(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def refuse(_: bytes, __: object) -> bytes:
        raise OutOfStock("nothing left", shelf="7", row="ü")

    service.answer = refuse
    with pytest.raises(RemoteError) as caught:
        await echo.call(client, "Read")
    error = caught.value
    assert (error.code, error.reason, error.domain) == (OutOfStock.code, "OUT_OF_STOCK", "shop.test")
    assert (error.message, error.metadata) == ("nothing left", {"shelf": "7", "row": "ü"})
    assert service.calls == 1


async def test_an_unexpected_exception_says_nothing_outside(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def crash(_: bytes, __: object) -> bytes:
        raise KeyError("hunter2")

    service.answer = crash
    with pytest.raises(RemoteError) as caught:
        await echo.call(client, "Read")
    assert caught.value.code is grpc.StatusCode.INTERNAL
    assert caught.value.message == "internal error"
    assert caught.value.reason == "INTERNAL"


async def test_a_call_without_a_deadline_gets_the_channels(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def remaining(_: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return str(context.time_remaining()).encode()

    service.answer = remaining
    assert 40 < float(await echo.call(client, "Read")) < 61
    assert 180 < float(await echo.call(client, "Read", timeout=200)) < 201


async def test_a_passed_deadline_is_a_remote_error_and_stops_the_handler(
    client: grpc.aio.Channel, service: echo.Echo
) -> None:
    stopped = asyncio.Event()

    async def hang(_: bytes, __: object) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return b""

    service.answer = hang
    with pytest.raises(RemoteError) as caught:
        await echo.call(client, "Read", timeout=0.1)
    assert (caught.value.code, caught.value.domain) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    await asyncio.wait_for(stopped.wait(), 15)


@pytest.mark.parametrize("method", ["Read", "Put"])
async def test_a_safe_method_is_tried_again_until_it_answers(
    client: grpc.aio.Channel, service: echo.Echo, method: str
) -> None:
    async def third_time_lucky(request: bytes, _: object) -> bytes:
        if service.calls < 3:
            raise Unavailable("not now")
        return request

    service.answer = third_time_lucky
    assert await echo.call(client, method, b"again") == b"again"
    assert service.calls == 3


async def test_a_method_that_is_not_marked_is_never_tried_again(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def away(_: bytes, __: object) -> bytes:
        raise Unavailable("not now")

    service.answer = away
    with pytest.raises(RemoteError) as caught:
        await echo.call(client, "Post")
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert service.calls == 1


async def test_other_errors_are_never_tried_again(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def refuse(_: bytes, __: object) -> bytes:
        raise InvalidArgument("no", field="name")

    service.answer = refuse
    with pytest.raises(RemoteError):
        await echo.call(client, "Read")
    assert service.calls == 1


async def test_a_failing_server_is_not_flooded_with_retries(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def away(_: bytes, __: object) -> bytes:
        raise Unavailable("not now")

    service.answer = away
    results = [echo.call(client, "Read") for _ in range(50)]
    assert all(isinstance(r, RemoteError) for r in await asyncio.gather(*results, return_exceptions=True))
    # Without the budget these would be 200; with it, retries stop after the first ten failures or so.
    assert 50 < service.calls < 80


async def test_nobody_listening_is_unavailable_without_a_domain() -> None:
    async with channel("127.0.0.1:1", timeout_s=2) as nobody:
        with pytest.raises(RemoteError) as caught:
            await echo.call(nobody, "Post")
    assert (caught.value.code, caught.value.domain) == (grpc.StatusCode.UNAVAILABLE, "")


async def test_the_request_id_travels_along(client: grpc.aio.Channel, service: echo.Echo) -> None:
    async def who(_: bytes, __: object) -> bytes:
        return request_id.get().encode()

    service.answer = who
    assert await echo.call(client, "Read") == b""
    token = request_id.set("abc")
    try:
        assert await echo.call(client, "Read") == b"abc"
    finally:
        request_id.reset(token)
    assert await echo.call(client, "Read", metadata=((REQUEST_ID_KEY, "x" * 999),)) == b"x" * 64


def test_only_marked_methods_stand_in_the_service_config() -> None:
    config = service_config([echo.descriptor()])
    assert config["methodConfig"][0]["name"] == [  # type: ignore[index]
        {"service": echo.NAME, "method": "Read"},
        {"service": echo.NAME, "method": "Put"},
    ]
