"""Crash points: named places in the code where a test can make this process fail, and nothing happens otherwise.

    fault("edge.journal.before_write")
    await fault_async("billing.settle.after_commit")

FAULTS names what is to happen, `point=mode` or `point=mode:number`, separated by commas:

    raise       an unexpected error; `raise:3` at every third passage
    drop        the reply is lost: the caller sees what it sees when the connection breaks; `drop:3` likewise
    kill        SIGKILL to this process; `kill:3` at the third passage
    delay:250   so many milliseconds
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum

from kit.errors import Unavailable


class Mode(StrEnum):
    """What happens at a point."""

    RAISE = "raise"
    DROP = "drop"
    KILL = "kill"
    DELAY = "delay"


class Injected(Exception):
    """The error of the mode `raise`."""


@dataclass(slots=True)
class _Armed:
    mode: Mode
    number: int
    passages: int = 0


_armed: dict[str, _Armed] = {}
"""Empty but in tests: then a point costs a look at it."""


def fault(point: str) -> None:
    """A crash point in code that does not wait. Injected or Unavailable, where FAULTS says so."""
    if _armed and (delay_s := _pass(point)):
        time.sleep(delay_s)


async def fault_async(point: str) -> None:
    """A crash point in a coroutine: as `fault`, but a delay holds up nobody else."""
    if _armed and (delay_s := _pass(point)):
        await asyncio.sleep(delay_s)


def enable(text: str) -> None:
    """Arms the points named in `text`, in the form of FAULTS, and disarms all others. ValueError."""
    armed = {}
    for part in filter(None, text.split(",")):
        point, _, what = part.partition("=")
        mode, _, number = what.partition(":")
        armed[point] = _Armed(Mode(mode), int(number or 1))
    _armed.clear()
    _armed.update(armed)


def _pass(point: str) -> float:
    """Does what is armed at this point; seconds to wait."""
    armed = _armed.get(point)
    if armed is None:
        return 0.0
    armed.passages += 1
    if armed.mode is Mode.DELAY:
        return armed.number / 1000
    if armed.passages % armed.number == 0:
        if armed.mode is Mode.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if armed.mode is Mode.RAISE:
            raise Injected(point)
        raise Unavailable(f"the reply was lost at {point}")
    return 0.0
