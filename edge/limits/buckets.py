"""Limits in Valkey, shared by all edges, with limits of the process's own while Valkey is away."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from itertools import islice
from typing import NamedTuple

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from edge.batch import Batcher
from edge.limits.levels import Bucket, Limit, Slots, Taken
from edge.limits.local import LocalLimits
from kit.logs import get_logger

TIMEOUT_S = 0.25
SLOT_S = 60.0
"""A slot whose edge has died comes free after so long."""
RENEW_S = 15.0
MAX_CHANGES = 20_000
"""Changes that wait for Valkey; what is dropped mends itself: slots expire, and buckets fill."""
_MOST = 500
_AWAY = (RedisError, OSError, TimeoutError)
_US = 1_000_000

log = get_logger()
_away = Gauge("edge_limits_in_process", "1 while limits are kept in the process because Valkey does not answer.")


@dataclass(slots=True)
class _Request:
    limits: tuple[Limit, ...]
    member: str
    given_up: bool = False
    """Whether nobody waits for the answer any more."""


class _Change(NamedTuple):
    """See `take.lua`."""

    name: str
    kind: str
    value: int | str
    full_us: int = 0


class Buckets:
    """Takes from limits, for all requests of one tick of the loop in one script call, and gives back with the next."""

    def __init__(
        self,
        redis_url: str,
        *,
        probe_s: float = 1.0,
        slot_s: float = SLOT_S,
        renew_s: float = RENEW_S,
        now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
    ) -> None:
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._probe_s = probe_s
        self._slot_us = round(slot_s * _US)
        self._renew_s = renew_s
        self._script = files("edge.limits").joinpath("take.lua").read_text()
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._local = LocalLimits(now_us)
        self._changes: deque[_Change] = deque(maxlen=MAX_CHANGES)
        self._probe: asyncio.Task[None] | None = None
        self._flush: asyncio.Task[None] | None = None
        self._renew: asyncio.Task[None] | None = None
        self._batch: Batcher[_Request, Taken] = Batcher(self._take_all, most=_MOST, in_flight=4)

    async def take(self, *limits: Limit, member: str = "") -> Taken:
        """Takes from all limits, or from none of them; a limit of size 0 always refuses.

        `member` is what holds slots until `free` is called for it; needed where there are any.
        """
        request = _Request(limits, member)
        try:
            return await self._batch(request)
        except asyncio.CancelledError:
            # It may be answered already, or be on its way.
            request.given_up = True
            self._free_all(request)
            raise

    def give(self, bucket: Bucket, used: int) -> None:
        """Gives back what was taken from a bucket beyond `used` tokens, or takes what it was short of them. Soon."""
        back_us = bucket.back_us(used)
        if self._probe is not None:
            self._local.give(bucket, back_us)
        elif back_us:
            self._later(_Change(bucket.name, "give", back_us, bucket.full_us))

    def free(self, slots: Sequence[Slots], member: str) -> None:
        """Frees slots; soon, but before anything that this process takes from now on."""
        for each in slots:
            self._local.leave(each.name, member)
            self._later(_Change(each.name, "free", member))

    async def close(self) -> None:
        """Gives back what waits, and closes the connections."""
        await self._batch.close()
        if self._probe is None:
            await asyncio.wait([self._flush or asyncio.create_task(self._flush_all())])
        tasks = [task for task in (self._probe, self._flush, self._renew) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _take_all(self, requests: list[_Request]) -> Sequence[Taken]:
        if self._probe is None:
            try:
                answers = await self._call(self._next_changes(), requests)
            except _AWAY as error:
                self._leave(error)
            else:
                self._note(requests, answers)
                return answers
        answers = [self._local.take(request.limits, request.member) for request in requests]
        self._note(requests, answers)
        return answers

    def _note(self, requests: Sequence[_Request], answers: Sequence[Taken]) -> None:
        """Remembers who has slots: they are renewed, and counted in the process while Valkey is away."""
        for request, answer in zip(requests, answers, strict=True):
            if request.member and answer.allowed:
                for limit in request.limits:
                    if isinstance(limit, Slots):
                        self._local.enter(limit.name, request.member)
                if request.given_up:
                    self._free_all(request)
        if self._local.running and self._renew is None:
            self._renew = asyncio.create_task(self._renew_all())

    def _free_all(self, request: _Request) -> None:
        self.free([limit for limit in request.limits if isinstance(limit, Slots)], request.member)

    def _later(self, change: _Change) -> None:
        self._changes.append(change)
        if self._flush is None and self._probe is None:
            self._flush = asyncio.create_task(self._flush_all())

    def _next_changes(self) -> list[_Change]:
        return [self._changes.popleft() for _ in range(min(len(self._changes), _MOST))]

    async def _flush_all(self) -> None:
        try:
            # What is asked for in the same tick takes them along: its call begins two turns of the loop later.
            for _ in range(2):
                await asyncio.sleep(0)
            while self._changes and self._probe is None:
                await self._call(self._next_changes())
        except _AWAY as error:
            self._leave(error)
        finally:
            self._flush = None

    async def _renew_all(self) -> None:
        """Says every now and then that the requests of this process still run, as long as there are any."""
        try:
            while self._local.running:
                await asyncio.sleep(self._renew_s)
                if self._probe is None:
                    try:
                        await self._tell("renew")
                    except _AWAY as error:
                        self._leave(error)
        finally:
            self._renew = None

    async def _tell(self, kind: str) -> None:
        changes = [_Change(name, kind, member) for name, members in self._local.running.items() for member in members]
        for start in range(0, len(changes), _MOST):
            await self._call(list(islice(changes, start, start + _MOST)))

    async def _call(self, changes: Sequence[_Change], requests: Sequence[_Request] = ()) -> Sequence[Taken]:
        """One call of the script. Changes that could not be made are kept where that is safe; _AWAY."""
        keys = [change.name for change in changes]
        numbers: list[int | str] = [self._slot_us, len(changes)]
        for change in changes:
            numbers += change[1:]
        for request in requests:
            numbers += (request.member, len(request.limits))
            for limit in request.limits:
                keys.append(limit.name)
                numbers += (limit.size, -1) if isinstance(limit, Slots) else (limit.full_us, limit.cost_us)
        try:
            try:
                flat = await self._redis.evalsha(self._sha, len(keys), *keys, *numbers)
            except NoScriptError:
                flat = await self._redis.eval(self._script, len(keys), *keys, *numbers)
        except _AWAY:
            # Freeing twice does no harm; giving twice would, and a bucket fills by itself.
            self._changes.extendleft(change for change in reversed(changes) if change.kind == "free")
            raise
        return _unpack(requests, flat)

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
                # Those that were allowed meanwhile, and those whose slots were given up for lost.
                await self._tell("enter")
            except _AWAY:
                continue
            log.info("limits_in_valkey")
            _away.set(0)
            self._probe = None
            if self._changes:
                self._flush = asyncio.create_task(self._flush_all())
            return


def _unpack(requests: Sequence[_Request], flat: Sequence[int]) -> list[Taken]:
    answers = []
    at = 0
    for request in requests:
        end = at + 1 + len(request.limits)
        answers.append(Taken(flat[at] == 1, flat[at + 1 : end]))
        at = end
    return answers
