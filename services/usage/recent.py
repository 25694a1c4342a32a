"""Answers that take long to find and may be a moment old: kept, and found anew beside those who ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

SHARE = 10
"""An answer is found anew once it is this many times as old as it took to find: little of the time goes there."""

KEPT_S = 60.0
"""Nobody is given an older answer."""


class Recent(Generic[Question, Answer]):
    """What `find` says, as it was at most KEPT_S ago; whoever asks at the same time waits for one and the same."""

    def __init__(
        self, find: Callable[[Question], Awaitable[Answer]], *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._find = find
        self._now_s = now_s
        self._known: dict[Question, tuple[Answer, float, float]] = {}
        self._finding: dict[Question, asyncio.Task[Answer]] = {}

    async def get(self, question: Question) -> Answer:
        """The answer; fails as `find` does where none is kept."""
        now_s = self._now_s()
        self._known = {each: known for each, known in self._known.items() if now_s - known[1] <= KEPT_S}
        known = self._known.get(question)
        if known is None:
            return await asyncio.shield(self._begin(question))
        answer, begin_s, took_s = known
        if now_s - begin_s >= SHARE * took_s:
            self._begin(question)
        return answer

    def _begin(self, question: Question) -> asyncio.Task[Answer]:
        """The task that finds the answer, at most one at a time."""
        task = self._finding.get(question)
        if task is None:
            task = self._finding[question] = asyncio.create_task(self._keep(question))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it
        return task

    async def _keep(self, question: Question) -> Answer:
        begin_s = self._now_s()
        try:
            answer = await self._find(question)
            self._known[question] = (answer, begin_s, self._now_s() - begin_s)
            return answer
        finally:
            del self._finding[question]
