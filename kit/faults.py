"""Crash points: named places in the code where a test can make this process fail, and nothing happens otherwise.

    fault("edge.journal.before_write")
    await fault_async("billing.settle.after_commit")

FAULTS names what is to happen, `point=mode` or `point=mode:number`, separated by commas:

    raise       an unexpected error; `raise:3` at the first of every three passages
    drop        the reply is lost: the caller sees what it sees when the connection breaks; `drop:3` likewise
    kill        SIGKILL to this process; `kill:3` at the third passage
    delay:250   so many milliseconds

Each point says once in the log that it was at work.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum

import grpc

from kit.errors import RemoteError, Unavailable
from kit.logs import get_logger

log = get_logger()


class Mode(StrEnum):
    """What happens at a point."""

    RAISE = "raise"
    DROP = "drop"
    KILL = "kill"
    DELAY = "delay"


class Injected(Exception):
    """The error of the mode `raise`."""


class LostReply(Unavailable, RemoteError):
    """The error of the mode `drop`: to who serves a call it is the one, to who makes it the other."""

    def __init__(self, point: str) -> None:
        RemoteError.__init__(self, grpc.StatusCode.UNAVAILABLE, f"the reply was lost at {point}")


@dataclass(slots=True)
class _Armed:
    mode: Mode
    number: int
    passages: int = 0


_armed: dict[str, _Armed] = {}
"""Empty but in tests: then a point costs a look at it."""


def fault(point: str) -> None:
    """A crash point in code that does not wait. Injected or LostReply, where FAULTS says so."""
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
    if armed.passages == 1:
        log.info("fault_reached", point=point, mode=armed.mode)
    if armed.mode is Mode.DELAY:
        return armed.number / 1000
    if armed.mode is Mode.KILL:
        if armed.passages == armed.number:
            os.kill(os.getpid(), signal.SIGKILL)
    elif (armed.passages - 1) % armed.number == 0:
        raise Injected(point) if armed.mode is Mode.RAISE else LostReply(point)
    return 0.0
