"""The invalidation bus: hints over Valkey pub/sub that something changed, never the only notice."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from kit.logs import get_logger

PUBLISH_TIMEOUT_S = 0.5
_IDLE_S = 5.0
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
                decode_responses=True,
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
        backoff_s = 0.1
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(*topics)
                    await _handle(handler, "", "{}")
                    backoff_s = 0.1
                    await _listen(pubsub, handler)
            except _AWAY as error:
                log.warning("bus_disconnected", error=repr(error))
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()


async def _listen(pubsub: PubSub, handler: Handler) -> None:
    while True:
        # A silent connection is probed every few seconds by redis-py's health check.
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_IDLE_S)
        if message is not None and message["type"] == "message":
            await _handle(handler, message["channel"], message["data"])


async def _handle(handler: Handler, topic: str, data: str) -> None:
    try:
        await handler(topic, json.loads(data))
    except Exception:
        log.exception("bus_handler_failed", topic=topic)
