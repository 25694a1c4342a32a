"""Token buckets in Valkey, with buckets of the process's own while Valkey is away."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from edge.batch import Batcher
from kit.logs import get_logger

TIMEOUT_S = 0.25
MAX_LOCAL_BUCKETS = 100_000
_AWAY = (RedisError, OSError, TimeoutError)
_US = 1_000_000

log = get_logger()
_away = Gauge("edge_limits_in_process", "1 while limits are kept in the process because Valkey does not answer.")


@dataclass(frozen=True, slots=True)
class Bucket:
    """`size` tokens, refilled evenly within `window_s`."""

    name: str
    size: int
    window_s: int


@dataclass(frozen=True, slots=True)
class RateAnswer:
    """Whether a request may go on, and the numbers for the `x-ratelimit-*-requests` headers.

    They describe the bucket that refused, else the one with the least left.
    """

    allowed: bool
    limit: int
    """Size of the bucket."""
    remaining: int
    reset_s: float
    """Until the bucket is full again."""
    retry_after_s: float
    """Until a request may succeed; 0 where this one was allowed."""


class Buckets:
    """Takes tokens, for all requests of one tick of the loop in one script call."""

    def __init__(self, redis_url: str, *, probe_s: float = 1.0) -> None:
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._probe_s = probe_s
        self._script = files("edge.limits").joinpath("take.lua").read_text()
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._local = LocalBuckets()
        self._probe: asyncio.Task[None] | None = None
        self._batch = Batcher(self._take_all, most=500, in_flight=4)

    async def take(self, *buckets: Bucket) -> RateAnswer:
        """Takes one token from each bucket, or none from any; a bucket of size 0 always refuses."""
        for bucket in buckets:
            if bucket.size <= 0:
                window_s = float(bucket.window_s)
                return RateAnswer(allowed=False, limit=0, remaining=0, reset_s=window_s, retry_after_s=window_s)
        return await self._batch(buckets)

    async def close(self) -> None:
        """Closes the connections."""
        await self._batch.close()
        if self._probe:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        await self._redis.aclose()

    async def _take_all(self, requests: list[tuple[Bucket, ...]]) -> Sequence[RateAnswer]:
        if self._probe is None:
            try:
                return await self._take_remotely(requests)
            except _AWAY as error:
                self._leave(error)
        return [self._local.take(buckets) for buckets in requests]

    async def _take_remotely(self, requests: list[tuple[Bucket, ...]]) -> Sequence[RateAnswer]:
        keys = [bucket.name for buckets in requests for bucket in buckets]
        numbers: list[int] = []
        for buckets in requests:
            numbers.append(len(buckets))
            for bucket in buckets:
                numbers += (bucket.size, bucket.window_s * _US)
        try:
            flat = await self._redis.evalsha(self._sha, len(keys), *keys, *numbers)
        except NoScriptError:
            flat = await self._redis.eval(self._script, len(keys), *keys, *numbers)
        return [_answer(*flat[at : at + 5]) for at in range(0, len(flat), 5)]

    def _leave(self, error: Exception) -> None:
        if self._probe is None:
            log.warning("limits_in_process", error=repr(error))
            _away.set(1)
            self._probe = asyncio.create_task(self._until_back())

    async def _until_back(self) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            try:
                await self._redis.ping()
            except _AWAY:
                continue
            log.info("limits_in_valkey")
            _away.set(0)
            self._probe = None
            return


class LocalBuckets:
    """The same buckets in this process, by the same rules as `take.lua`."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000) -> None:
        self._now_us = now_us
        self._full_at: dict[str, int] = {}

    def take(self, buckets: Sequence[Bucket]) -> RateAnswer:
        """Takes one token from each bucket, or none from any."""
        now = self._now_us()
        refusals: list[tuple[int, int, int]] = []
        grants: list[tuple[int, int, int]] = []
        moments: dict[str, int] = {}
        for bucket in buckets:
            token = bucket.window_s * _US // bucket.size
            owed = max(self._full_at.get(bucket.name, 0) - now, 0)
            room = bucket.size * token - owed
            if room < token:
                refusals.append((token - room, bucket.size, owed))
            else:
                grants.append((room // token - 1, bucket.size, owed + token))
                moments[bucket.name] = now + owed + token
        if refusals:
            retry, size, reset = max(refusals, key=lambda refusal: refusal[0])
            return _answer(0, size, 0, reset, retry)
        self._full_at |= moments
        if len(self._full_at) > MAX_LOCAL_BUCKETS:
            self._forget(now)
        left, size, reset = min(grants, key=lambda grant: grant[0])
        return _answer(1, size, left, reset, 0)

    def _forget(self, now: int) -> None:
        """Drops full buckets, and the oldest half where hardly any is full: they err in the caller's favour."""
        self._full_at = {name: moment for name, moment in self._full_at.items() if moment > now}
        while len(self._full_at) > MAX_LOCAL_BUCKETS // 2:
            self._full_at.pop(next(iter(self._full_at)))


def _answer(allowed: int, size: int, remaining: int, reset_us: int, retry_us: int) -> RateAnswer:
    return RateAnswer(
        allowed=allowed == 1,
        limit=size,
        remaining=remaining,
        reset_s=reset_us / _US,
        retry_after_s=retry_us / _US,
    )
