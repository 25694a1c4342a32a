"""What the person at the terminal sees and presses: progress, and Ctrl-C without surprises."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

FIRST_NOTE_S = 2.0
NEXT_NOTE_S = 5.0


class Stopped(Exception):
    """Somebody asked to stop while the stack was starting."""


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGHUP; no exception is thrown into the middle of anything."""

    def __init__(self) -> None:
        self.count = 0
        self.when_repeated: Callable[[], None] = lambda: None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Listen from here on; only in the main thread."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [(number, signal.signal(number, self._note)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def requested(self) -> bool:
        """Whether one has come."""
        return self.count > 0

    def check(self) -> None:
        """Raise Stopped once one has come."""
        if self.count:
            raise Stopped

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            self.when_repeated()


class Patience:
    """Says what is being waited for, from the second second on."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._start = time.monotonic()
        self._next = self._start + FIRST_NOTE_S

    def note(self) -> None:
        """Call while waiting, often."""
        now = time.monotonic()
        if now >= self._next:
            say(f"  waiting for {self._what} ({now - self._start:.0f} s)")
            self._next = now + NEXT_NOTE_S


def say(text: str) -> None:
    """One line of progress; a closed terminal is no reason to fail."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def announce(text: str) -> None:
    """The ready line, on standard output for programs that wait for it."""
    with suppress(OSError):
        print(text, flush=True)
