"""An asyncio loop whose time is simulated: nothing waits, and time moves on to whatever comes next.

So the very code that serves can run against simulated servers, hours of it in seconds, and twice the same way.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlockError(Exception):
    """All tasks wait for each other: nothing will ever happen again."""


class _Leaping(selectors.SelectSelector):
    """Instead of waiting for so long, it moves the time."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("nothing is left to come")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0 seconds; has no sockets, signals or threads."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Simulated seconds."""
        return self._leaping.now_s


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs to its end in simulated time; DeadlockError where it has none."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
