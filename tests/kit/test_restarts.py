"""Servers that stop and come back under their clients' calls: none is lost, and who stays away is an error soon."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from kit import presence
from kit.client import channel
from kit.errors import RemoteError
from kit.server import HAND_OVER_S, running
from tests.support import echo

CALLERS = 20


@pytest.fixture
def service() -> echo.Echo:
    return echo.Echo()


@asynccontextmanager
async def serving(service: echo.Echo, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    async with running(listen=listen, register=service.register, hand_over_s=HAND_OVER_S) as target:
        yield target


async def test_two_servers_that_restart_in_turn_lose_no_call(service: echo.Echo) -> None:
    """Not even of a method that must not be called again."""
    over = asyncio.Event()

    async def again_and_again(client: grpc.aio.Channel) -> int:
        calls = 0
        while not over.is_set():
            assert await echo.call(client, "Post", b"hello") == b"hello"
            calls += 1
        return calls

    async with AsyncExitStack() as one, AsyncExitStack() as other:
        targets = [await stack.enter_async_context(serving(service)) for stack in (one, other)]
        async with channel("ipv4:" + ",".join(targets), echo.descriptor()) as client:
            calling = [asyncio.create_task(again_and_again(client)) for _ in range(CALLERS)]
            for stack, target in zip((one, other), targets, strict=True):
                await stack.aclose()
                await stack.enter_async_context(serving(service, target))
            over.set()
            assert sum(await asyncio.gather(*calling)) == service.calls


@pytest.mark.parametrize("method", ["Read", "Post"])
async def test_a_call_waits_for_the_only_server_while_that_restarts(service: echo.Echo, method: str) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(service))
        async with channel(target, echo.descriptor()) as client:
            for _ in range(2):
                assert await echo.call(client, method, b"before") == b"before"
                await stack.aclose()
                waiting = [asyncio.create_task(echo.call(client, method, b"hello")) for _ in range(CALLERS)]
                await asyncio.wait(waiting, timeout=0.3)
                assert not any(call.done() for call in waiting)
                await stack.enter_async_context(serving(service, target))
                assert await asyncio.gather(*waiting) == [b"hello"] * CALLERS


@pytest.mark.parametrize("method", ["Read", "Post"])
async def test_a_server_that_stays_away_is_an_error_at_once(
    service: echo.Echo, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "RESTART_S", 0.3)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(service))
        async with channel(target, echo.descriptor()) as client:
            await echo.call(client, method)
            await stack.aclose()
            with pytest.raises(RemoteError) as first:
                await echo.call(client, method, timeout=0.5)
            began_s = time.monotonic()
            with pytest.raises(RemoteError) as later:
                await echo.call(client, method, timeout=30)
    assert (first.value.code, later.value.code) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    )
    assert time.monotonic() - began_s < 5
