"""Waiting for an effect with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

MOST_S = 0.25
"""What a single look may take of the time allowed; more than that is the machine standing still, with all on it."""


class Allowance:
    """Seconds in which an effect has to come: counted in looks, so that a busy machine takes none of a promise.

    allowance = Allowance(2.0)
    while not there():
        assert allowance.is_left()
    """

    def __init__(self, within_s: float) -> None:
        self._left_s = within_s
        self._looked_s = time.monotonic()

    def is_left(self) -> bool:
        """Whether there is any, after what has passed since the last look."""
        before, self._looked_s = self._looked_s, time.monotonic()
        self._left_s -= min(self._looked_s - before, MOST_S)
        return self._left_s > 0


async def eventually(ask: Callable[[], Awaitable[T]], *, within_s: float = 15.0, what: str = "") -> T:
    """The first true answer of `ask`; AssertionError when none came in time.

    balance = await eventually(lambda: charged(account_id), what="the charge")
    """
    allowance = Allowance(within_s)
    while not (answer := await ask()):
        if not allowance.is_left():
            raise AssertionError(f"waited {within_s} s in vain for {what or ask}; last answer: {answer!r}")
        await asyncio.sleep(0.01)
    return answer
