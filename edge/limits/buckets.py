"""Limits in Valkey, shared by all edges, with limits of the process's own while Valkey is away."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from typing import NamedTuple

from prometheus_client import Gauge

from edge.errors import unavailable
from edge.limits.levels import Bucket, Limit, Slots, Taken
from edge.limits.local import LocalLimits
from edge.limits.refused import Refused
from edge.limits.valkey import Answer, Answered, Script, Valkey, ValkeyError
from kit.logs import get_logger

TIMEOUT_S = 0.25
SLOT_S = 60.0
"""A slot whose edge has died comes free after so long."""
RENEW_S = 15.0
GIVE_S = 0.005
"""What is given back waits for so long for a call that goes anyway."""
MAX_CHANGES = 20_000
"""Changes that wait for Valkey; what is dropped mends itself: slots expire, and buckets fill."""
MAX_WAITING = 20_000
IN_FLIGHT = 4
"""Calls at a time; what comes while all are under way goes into the next one."""
_MOST = 500
_US = 1_000_000

log = get_logger()
_away = Gauge("edge_limits_in_process", "1 while limits are kept in the process because Valkey does not answer.")


@dataclass(slots=True)
class _Request:
    limits: tuple[Limit, ...]
    member: str
    answer: asyncio.Future[Taken]
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
        self._loop = asyncio.get_running_loop()
        self._valkey = Valkey(redis_url, timeout_s=TIMEOUT_S)
        self._script = Script(files("edge.limits").joinpath("take.lua").read_text())
        self._probe_s = probe_s
        self._slot_us = round(slot_s * _US)
        self._renew_s = renew_s
        self._now_us = now_us
        self._local = LocalLimits(now_us)
        self._refused = Refused(now_us)
        self._waiting: deque[_Request] = deque()
        self._changes: deque[_Change] = deque(maxlen=MAX_CHANGES)
        self._calls = 0
        """Under way."""
        self._is_scheduled = self._is_closed = False
        self._giving: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None
        self._renew: asyncio.Task[None] | None = None

    async def take(self, *limits: Limit, member: str = "") -> Taken:
        """Takes from all limits, or from none of them; a limit of size 0 always refuses.

        `member` is what holds slots until `free` is called for it; needed where there are any.
        EdgeError service_unavailable where too many wait already.
        """
        known = self._refused.find(limits)
        if known is not None:
            return known
        if len(self._waiting) >= MAX_WAITING:
            raise unavailable()
        request = _Request(limits, member, self._loop.create_future())
        self._waiting.append(request)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._ask)
        try:
            return await request.answer
        except asyncio.CancelledError:
            # It may be answered already, or be on its way.
            request.given_up = True
            self._free_all(request)
            raise

    def give(self, bucket: Bucket, used: int) -> None:
        """Gives back what was taken from a bucket beyond `used` tokens, or takes what it was short of them. Soon."""
        back_us = bucket.back_us(used)
        if self._is_away:
            self._local.give(bucket, back_us)
        elif back_us:
            self._later(_Change(bucket.name, "give", back_us, bucket.full_us))

    def free(self, slots: Sequence[Slots], member: str) -> None:
        """Frees slots; soon, but before anything that this process takes from now on."""
        for each in slots:
            self._local.leave(each.name, member)
            self._later(_Change(each.name, "free", member))

    async def close(self) -> None:
        """Gives back what waits, and closes the connection. Whoever waits gets service_unavailable."""
        for request in self._waiting:
            if not request.answer.done():
                request.answer.set_exception(unavailable())
        self._waiting.clear()
        tasks = [task for task in (self._probe, self._renew) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._giving is not None:
            self._giving.cancel()
        while self._changes and not self._is_away:
            await self._tell(self._next_changes())
        self._is_closed = True
        await self._valkey.close()

    @property
    def _is_away(self) -> bool:
        return self._probe is not None

    def _ask(self) -> None:
        """Asks for those who wait: Valkey in as few calls as possible, or the process itself."""
        self._is_scheduled = False
        while self._waiting and (self._calls < IN_FLIGHT or self._is_away):
            requests: list[_Request] = []
            while self._waiting and len(requests) < _MOST:
                request = self._waiting.popleft()
                if not request.answer.done():
                    requests.append(request)
            if not requests:
                return
            if self._is_away:
                self._answer(requests, self._take_here(requests))
            else:
                self._take_there(requests)

    def _take_here(self, requests: Sequence[_Request]) -> list[Taken]:
        return [self._local.take(request.limits, request.member) for request in requests]

    def _take_there(self, requests: Sequence[_Request]) -> None:
        at_us = self._now_us()

        def answered(answer: Answer) -> None:
            self._calls -= 1
            if isinstance(answer, ValkeyError):
                self._leave(answer)
                answers = self._take_here(requests)
            else:
                answers = _unpack(requests, answer)
                for request, taken in zip(requests, answers, strict=True):
                    if not taken.allowed:
                        self._refused.note(request.limits, taken, at_us)
            self._answer(requests, answers)
            self._ask()

        self._calls += 1
        self._call(self._next_changes(), requests, answered)

    def _answer(self, requests: Sequence[_Request], answers: Sequence[Taken]) -> None:
        self._note(requests, answers)
        for request, taken in zip(requests, answers, strict=True):
            if not request.answer.done():
                request.answer.set_result(taken)

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
        if self._giving is None:
            self._giving = self._loop.call_later(GIVE_S, self._give_all)

    def _next_changes(self) -> list[_Change]:
        changes = self._changes
        return [changes.popleft() for _ in range(min(len(changes), _MOST))]

    def _give_all(self) -> None:
        """Makes the changes that no other call has taken along."""

        def answered(answer: Answer) -> None:
            if isinstance(answer, ValkeyError):
                self._leave(answer)

        self._giving = None
        while self._changes and not self._is_away:
            self._call(self._next_changes(), (), answered)

    async def _renew_all(self) -> None:
        """Says every now and then that the requests of this process still run, as long as there are any."""
        try:
            while self._local.running:
                await asyncio.sleep(self._renew_s)
                if not self._is_away and (error := await self._say("renew")):
                    self._leave(error)
        finally:
            self._renew = None

    async def _say(self, kind: str) -> ValkeyError | None:
        """Tells Valkey of all requests that run here."""
        changes = [_Change(name, kind, member) for name, members in self._local.running.items() for member in members]
        for start in range(0, len(changes), _MOST):
            error = await self._tell(list(islice(changes, start, start + _MOST)))
            if error:
                return error
        return None

    async def _tell(self, changes: Sequence[_Change]) -> ValkeyError | None:
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._call(changes, (), lambda answer: None if future.done() else future.set_result(answer))
        answer = await future
        return answer if isinstance(answer, ValkeyError) else None

    def _call(self, changes: Sequence[_Change], requests: Sequence[_Request], answered: Answered) -> None:
        """One call of the script. Changes that could not be made are kept where that is safe."""
        keys = [change.name for change in changes]
        numbers: list[int | str] = [self._slot_us, len(changes)]
        for change in changes:
            numbers += change[1:]
        for request in requests:
            numbers += (request.member, len(request.limits))
            for limit in request.limits:
                keys.append(limit.name)
                numbers += (limit.size, -1) if isinstance(limit, Slots) else (limit.full_us, limit.cost_us)

        def looked_at(answer: Answer) -> None:
            if changes and isinstance(answer, ValkeyError):
                # Freeing twice does no harm; giving twice would, and a bucket fills by itself.
                self._changes.extendleft(change for change in reversed(changes) if change.kind == "free")
            answered(answer)

        self._valkey.run(self._script, keys, numbers, looked_at)

    def _leave(self, error: ValkeyError) -> None:
        if not self._is_away and not self._is_closed:
            log.warning("limits_in_process", error=str(error))
            _away.set(1)
            self._probe = self._loop.create_task(self._until_back())

    async def _until_back(self) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            try:
                await self._valkey.ping()
            except ValkeyError:
                continue
            # Those that were allowed meanwhile, and those whose slots were given up for lost.
            if await self._say("enter"):
                continue
            log.info("limits_in_valkey")
            _away.set(0)
            self._probe = None
            self._give_all()
            return


def _unpack(requests: Sequence[_Request], flat: Sequence[int]) -> list[Taken]:
    answers = []
    at = 0
    for request in requests:
        end = at + 1 + len(request.limits)
        answers.append(Taken(flat[at] == 1, flat[at + 1 : end]))
        at = end
    return answers
