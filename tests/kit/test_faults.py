"""Crash points: nothing by default, and exactly what FAULTS says otherwise."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from kit import faults
from kit.errors import Unavailable
from kit.faults import Injected, fault, fault_async


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    faults.enable("")


async def test_nothing_happens_where_nothing_is_armed() -> None:
    fault("here")
    faults.enable("elsewhere=raise")
    fault("here")
    await fault_async("here")


async def test_an_error_at_every_passage_or_at_every_third() -> None:
    faults.enable("always=raise,third=raise:3")
    with pytest.raises(Injected):
        fault("always")
    with pytest.raises(Injected):
        await fault_async("always")
    fault("third")
    fault("third")
    with pytest.raises(Injected):
        fault("third")
    fault("third")


async def test_a_lost_reply_is_what_a_caller_may_try_again() -> None:
    faults.enable("reply=drop")
    with pytest.raises(Unavailable):
        await fault_async("reply")


async def test_a_delay_in_milliseconds() -> None:
    faults.enable("slow=delay:30")
    begun_s = time.monotonic()
    await fault_async("slow")
    fault("slow")
    assert time.monotonic() - begun_s >= 0.06


def test_a_death_at_the_second_passage() -> None:
    code = (
        "from kit.faults import *; enable('x=kill:2'); fault('x'); print('once', flush=True); fault('x'); print('no')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "once\n")


@pytest.mark.parametrize("text", ["here", "here=explode", "here=raise:often"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        faults.enable(text)
