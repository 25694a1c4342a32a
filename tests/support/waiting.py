"""Waiting for an effect with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(ask: Callable[[], Awaitable[T]], *, within_s: float = 5.0, what: str = "") -> T:
    """The first true answer of `ask`; AssertionError when none came in time.

    balance = await eventually(lambda: charged(account_id), what="the charge")
    """
    give_up = time.monotonic() + within_s
    while not (answer := await ask()):
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {within_s} s in vain for {what or ask}; last answer: {answer!r}")
        await asyncio.sleep(0.01)
    return answer
