"""One call for all that is asked for in the same tick of the event loop."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from edge.errors import unavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MAX_WAITING = 20_000


class Batcher(Generic[Question, Answer]):
    """Collects questions and asks them together; what comes while all calls are busy goes into the next one.

    `ask` answers in the order of its questions, or raises for all of them. It runs as part of the first one's request:
    under its id in the logs of whoever is asked, and in its trace.
    """

    def __init__(
        self, ask: Callable[[list[Question]], Awaitable[Sequence[Answer]]], *, most: int, in_flight: int
    ) -> None:
        self._ask = ask
        self._most = most
        self._idle = in_flight
        self._waiting: deque[tuple[Question, asyncio.Future[Answer], Context]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def __call__(self, question: Question) -> Answer:
        """The answer; whatever `ask` raises; EdgeError service_unavailable where too many wait already."""
        if len(self._waiting) >= MAX_WAITING:
            raise unavailable()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, future, copy_context()))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._send)
        return await future

    def _send(self) -> None:
        self._scheduled = False
        while self._idle and self._waiting:
            batch: list[tuple[Question, asyncio.Future[Answer]]] = []
            whose: Context | None = None
            while self._waiting and len(batch) < self._most:
                question, future, context = self._waiting.popleft()
                if not future.done():
                    whose = whose or context
                    batch.append((question, future))
            if batch:
                self._idle -= 1
                task = asyncio.create_task(self._run(batch), context=whose)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._ask([question for question, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else unavailable())
            if not isinstance(error, Exception):
                raise
        finally:
            self._idle += 1
            self._send()

    async def close(self) -> None:
        """Ends the calls under way; whoever waits gets service_unavailable."""
        for _, future, _ in self._waiting:
            if not future.done():
                future.set_exception(unavailable())
        self._waiting.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
