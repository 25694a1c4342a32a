"""How many requests one upstream gets at a time, and the queue of those that wait for it.

A slot that becomes free is handed to whoever has waited longest, in the same step: nobody who comes later can take it
in between, and a waiter who leaves just then passes it on. When the upstream is ejected, those who have somewhere
better to go leave the queue.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Final

from edge.errors import EdgeError

WAIT_S: Final = 10.0
"""Longest wait in the queue: after that a client is better off elsewhere, and is told so."""
LEAST_RETRY_AFTER_S: Final = 1
MOST_RETRY_AFTER_S: Final = 60
_NEWEST: Final = 0.1
"""How much the newest request counts in what one usually takes."""


class MovedOn(EdgeError):
    """The upstream was ejected while one waited, and another one is better."""


class Slots:
    """The slots of one upstream; a `limit` of 0 is none, a `max_queued` of 0 is as many as the limit."""

    def __init__(self, limit: int, max_queued: int, now_s: Callable[[], float]) -> None:
        self.in_flight = 0
        self._now_s = now_s
        self._queue: OrderedDict[asyncio.Future[EdgeError | None], Callable[[], bool]] = OrderedDict()
        """Who waits, each for a slot or for why there is none; and whether it has somewhere better to go."""
        self._usual_s: float | None = None
        """How long requests took lately."""
        self._moved_s = 0.0
        """When one last began or ended."""
        self._limit = limit
        self._max_queued = max_queued or limit

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def busy(self) -> int:
        """How many run or wait."""
        return self.in_flight + len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next one is refused."""
        return 0 < self._limit <= self.in_flight and len(self._queue) >= self._max_queued

    def resize(self, limit: int, max_queued: int) -> None:
        """Sets new bounds; what runs or waits beyond them goes on."""
        self._limit = limit
        self._max_queued = max_queued or limit
        self._hand_over()

    def try_take(self) -> bool:
        """Takes a slot that is free; there is none while others wait, since they get it when it becomes free."""
        if self._limit:
            if self.in_flight >= self._limit:
                return False
            self._moved_s = self._now_s()
        self.in_flight += 1
        return True

    async def take(self, wait_s: float = WAIT_S, has_better: Callable[[], bool] = lambda: False) -> None:
        """Takes a slot, after waiting for it if need be; `free` must follow.

        EdgeError upstream_unavailable where the queue is full, or no slot was free in time; MovedOn where `has_better`
        says so in `move_on`. Whoever is cancelled leaves the queue.
        """
        if self.try_take():
            return
        if self.is_full:
            raise self._refusal()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[EdgeError | None] = loop.create_future()
        self._queue[turn] = has_better
        timer = loop.call_later(wait_s, self._refuse, turn)
        try:
            refusal = await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result() is None:
                self._pass_on()
            else:
                self._queue.pop(turn, None)
            raise
        finally:
            timer.cancel()
        if refusal is not None:
            raise refusal

    def move_on(self) -> None:
        """The upstream was ejected: whoever in the queue has somewhere better to go is told to."""
        for turn in [turn for turn, has_better in self._queue.items() if has_better()]:
            self._refuse(turn, MovedOn)

    def free(self, lasted_s: float) -> None:
        """Gives back a slot that was used for so long."""
        if self._limit:
            usual_s = lasted_s if self._usual_s is None else self._usual_s
            self._usual_s = usual_s + (lasted_s - usual_s) * _NEWEST
            self._moved_s = self._now_s()
        self._pass_on()

    def retry_after_s(self) -> int:
        """When one who comes now would have had a turn, judged by how long requests took lately."""
        if self._usual_s is None:
            # None has ended, so all that is known is how long the others will wait.
            return ceil(WAIT_S)
        # Where nothing ends any more, what was usual is no comfort.
        between_s = max(self._usual_s / max(self._limit, 1), self._now_s() - self._moved_s)
        return min(max(ceil((len(self._queue) + 1) * between_s), LEAST_RETRY_AFTER_S), MOST_RETRY_AFTER_S)

    def _pass_on(self) -> None:
        self.in_flight -= 1
        if self._queue:
            self._hand_over()

    def _hand_over(self) -> None:
        while self._queue and (not self._limit or self.in_flight < self._limit):
            turn, _ = self._queue.popitem(last=False)
            if not turn.done():  # A waiter that was cancelled in this very step has not run yet.
                turn.set_result(None)
                self.in_flight += 1

    def _refuse(self, turn: asyncio.Future[EdgeError | None], kind: type[EdgeError] = EdgeError) -> None:
        if not turn.done():
            del self._queue[turn]
            turn.set_result(self._refusal(kind))

    def _refusal(self, kind: type[EdgeError] = EdgeError) -> EdgeError:
        return kind(
            "upstream_unavailable",
            "The model's servers are busy. Nothing was charged. Try again in a moment.",
            headers={"retry-after": str(self.retry_after_s())},
        )
