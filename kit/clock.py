"""Time as an argument: what the code under test is given instead of reading the machine's clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present, aware and in UTC."""

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def utc_now() -> datetime:
    """The machine's wall clock, in UTC."""
    return datetime.now(UTC)


def boottime_s() -> float:
    """Seconds since boot, sleep included, never set back; macOS has only the monotonic clock."""
    return time.clock_gettime(_BOOTTIME)
