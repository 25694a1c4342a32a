"""Background tasks that go on whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable

from kit.logs import get_logger

RESTART_S = 1.0

log = get_logger()


class Tasks:
    """Runs coroutines until closed; one that fails is logged and started again after a second."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begins to run `work`, which should not return."""
        self._tasks.append(asyncio.create_task(_for_ever(name, work), name=name))

    async def close(self) -> None:
        """Ends all of them."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("background_task_failed", task=name)
        await asyncio.sleep(RESTART_S)
