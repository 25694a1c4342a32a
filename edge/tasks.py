"""Background tasks that go on whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable

from kit.logs import get_logger

RESTART_S = 1.0
CANCEL_AGAIN_S = 0.5

log = get_logger()


class Tasks:
    """Runs coroutines until closed; one that fails is logged and started again after a second."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begins to run `work`, which should not return."""
        self._tasks.append(asyncio.create_task(_for_ever(name, work), name=name))

    async def close(self) -> None:
        """Ends all of them; asks more than once, since a cancellation can get lost in a library's own error."""
        running, self._tasks = set(self._tasks), []
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)


async def _for_ever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("background_task_failed", task=name)
        await asyncio.sleep(RESTART_S)
