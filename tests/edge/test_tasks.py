"""Background tasks: started again when they fail, ended when they should."""

import asyncio
from contextlib import suppress

import pytest

from edge import tasks
from edge.tasks import Tasks
from tests.support.waiting import eventually


async def test_a_task_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RESTART_S", 0.0)
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise ValueError("broken")

    running = Tasks()
    running.start("work", work)

    async def thrice() -> bool:
        return runs >= 3

    await eventually(thrice)
    await running.close()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.01)
    started, ended = asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = Tasks()
    running.start("deaf", deaf)
    await started.wait()
    await asyncio.wait_for(running.close(), 5)
    assert ended.is_set()
