"""The invalidation bus: hints over Valkey pub/sub that something changed, never the only notice."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from kit.logs import get_logger

PUBLISH_TIMEOUT_S = 0.5
_IDLE_S = 5.0
_MIN_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 2.0
_AWAY = (RedisError, OSError, TimeoutError)

log = get_logger()
_lost = Counter("bus_publish_failed", "Hints that could not be published.", ["topic"])

Handler = Callable[[str, dict[str, str]], Awaitable[None]]


class Bus:
    """One process's end of the bus. A lost hint delays a change until the next poll, no more."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @classmethod
    async def connect(cls, redis_url: str) -> "Bus":
        """A bus that connects when first used; Valkey may be away now. ValueError for a bad address."""
        return cls(
            Redis.from_url(
                redis_url,
                socket_connect_timeout=1.0,
                health_check_interval=_IDLE_S,
            )
        )

    async def publish(self, topic: str, payload: dict[str, str]) -> None:
        """Sends a hint, after the commit it tells of; never raises, takes at most 0.5 s."""
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await self._redis.publish(topic, json.dumps(payload))
        except _AWAY as error:
            _lost.labels(topic).inc()
            log.warning("bus_publish_failed", topic=topic, error=repr(error))

    async def subscribe(self, topics: Sequence[str], handler: Handler) -> None:
        """Runs until cancelled, calling `handler(topic, payload)` for each hint, one at a time.

        After each (re)connect it calls `handler("", {})`: hints may have been missed, so ask anew.
        What the handler raises is logged and the hint dropped.
        """
        backoff_s = _MIN_BACKOFF_S
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(*topics)
                    async for topic, data in _hints(pubsub, len(topics)):
                        backoff_s = _MIN_BACKOFF_S
                        await _handle(handler, topic, data)
            except _AWAY as error:
                log.warning("bus_disconnected", error=repr(error))
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


async def _hints(pubsub: PubSub, topics: int) -> AsyncIterator[tuple[str, bytes]]:
    """Hints as they come, and an empty one whenever the subscription to the last topic is confirmed.

    That happens anew when redis-py has quietly replaced a broken connection.
    """
    while True:
        # A silent connection is probed every few seconds by redis-py's health check.
        message = await pubsub.get_message(timeout=_IDLE_S)
        if message is None:
            continue
        if message["type"] == "message":
            yield message["channel"].decode(), message["data"]
        elif message["type"] == "subscribe" and message["data"] == topics:
            yield "", b"{}"


async def _handle(handler: Handler, topic: str, data: bytes) -> None:
    try:
        await handler(topic, json.loads(data))
    except Exception:
        log.exception("bus_handler_failed", topic=topic)
