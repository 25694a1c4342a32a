"""Crash points: nothing by default, and exactly what FAULTS says otherwise."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc
import pytest
from structlog.testing import capture_logs

from kit import faults
from kit.errors import RemoteError, Unavailable, pack
from kit.faults import Injected, LostReply, fault, fault_async


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
    for _ in range(2):
        with pytest.raises(Injected):
            fault("third")
        fault("third")
        fault("third")


@pytest.mark.parametrize("seen_as", [Unavailable, RemoteError])
async def test_a_lost_reply_is_what_both_sides_of_a_call_may_try_again(seen_as: type[Exception]) -> None:
    faults.enable("reply=drop")
    with pytest.raises(seen_as) as caught:
        await fault_async("reply")
    lost = caught.value
    assert isinstance(lost, LostReply)
    assert (lost.code, lost.reason, lost.metadata) == (grpc.StatusCode.UNAVAILABLE, "", {})
    assert pack(lost).message == lost.message == "the reply was lost at reply"


async def test_a_delay_in_milliseconds() -> None:
    faults.enable("slow=delay:30")
    begun_s = time.monotonic()
    await fault_async("slow")
    fault("slow")
    assert time.monotonic() - begun_s >= 0.06


async def test_a_point_says_once_that_it_is_at_work() -> None:
    faults.enable("here=raise:2")
    with capture_logs() as logged:
        with pytest.raises(Injected):
            fault("here")
        fault("here")
        with pytest.raises(Injected):
            fault("here")
    assert logged == [{"event": "fault_reached", "log_level": "info", "point": "here", "mode": "raise"}]


def test_a_death_at_the_second_passage() -> None:
    code = (
        "from kit import logs; from kit.faults import *; logs.configure('x'); enable('x=kill:2');"
        "fault('x'); print('once', flush=True); fault('x'); print('no')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "once\n")


@pytest.mark.parametrize("text", ["here", "here=explode", "here=raise:often"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        faults.enable(text)
