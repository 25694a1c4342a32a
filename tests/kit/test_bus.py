"""Hints over a real Valkey: delivered, resynchronised after a break, harmless when Valkey is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from kit.bus import Bus

Heard = asyncio.Queue[tuple[str, dict[str, str]]]


@asynccontextmanager
async def listening(bus: Bus, *topics: str) -> AsyncIterator[Heard]:
    heard: Heard = asyncio.Queue()

    async def handle(topic: str, payload: dict[str, str]) -> None:
        heard.put_nowait((topic, payload))
        if payload.get("poison"):
            raise ValueError("cannot digest this")

    task = asyncio.create_task(bus.subscribe(topics, handle))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


async def test_a_hint_arrives_with_its_payload_after_the_first_resync(redis_url: str) -> None:
    bus = await Bus.connect(redis_url)
    async with listening(bus, "keys", "prices") as heard:
        assert await asyncio.wait_for(heard.get(), 5) == ("", {})
        await bus.publish("keys", {"id": "7"})
        await bus.publish("elsewhere", {"id": "8"})
        await bus.publish("prices", {})
        assert await asyncio.wait_for(heard.get(), 5) == ("keys", {"id": "7"})
        assert await asyncio.wait_for(heard.get(), 5) == ("prices", {})


async def test_a_handler_that_fails_and_nonsense_on_the_wire_do_not_end_the_subscription(redis_url: str) -> None:
    bus = await Bus.connect(redis_url)
    async with listening(bus, "keys") as heard, Redis.from_url(redis_url) as redis:
        await asyncio.wait_for(heard.get(), 5)
        await bus.publish("keys", {"poison": "yes"})
        await redis.publish("keys", b"\xff not json")
        await redis.publish("keys", b"not json")
        await bus.publish("keys", {"id": "9"})
        assert await asyncio.wait_for(heard.get(), 5) == ("keys", {"poison": "yes"})
        while (last := await asyncio.wait_for(heard.get(), 5)) == ("", {}):
            await bus.publish("keys", {"id": "9"})
        assert last == ("keys", {"id": "9"})


async def test_a_broken_connection_is_replaced_and_followed_by_a_resync(redis_url: str) -> None:
    bus = await Bus.connect(redis_url)
    async with listening(bus, "keys") as heard, Redis.from_url(redis_url) as redis:
        assert await asyncio.wait_for(heard.get(), 5) == ("", {})
        await redis.client_kill_filter(_type="pubsub")
        assert await asyncio.wait_for(heard.get(), 5) == ("", {})
        await bus.publish("keys", {"id": "7"})
        assert await asyncio.wait_for(heard.get(), 5) == ("keys", {"id": "7"})


async def test_publishing_to_nobody_is_given_up_quietly() -> None:
    bus = await Bus.connect("redis://127.0.0.1:1")
    await asyncio.wait_for(bus.publish("keys", {"id": "7"}), 5)
    await bus.close()


async def test_publishing_to_a_server_that_never_answers_is_given_up() -> None:
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        bus = await Bus.connect(f"redis://127.0.0.1:{port}")
        await asyncio.wait_for(bus.publish("keys", {"id": "7"}), 5)
        await bus.close()
        await asyncio.wait_for(gone.wait(), 5)
