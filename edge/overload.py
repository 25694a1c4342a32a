"""Notices when this process has more to do than it can, so that new requests are refused and running ones go on."""

import asyncio
from typing import Final

from prometheus_client import Gauge

from kit.logs import get_logger

LOOK_S: Final = 0.05
LATE_S: Final = 0.5
"""Far beyond what a process at its limit shows, and still short beside the wait for a first token."""
LATE_LOOKS: Final = 4
"""So many late looks in a row are more than one long step, or a machine that stood still."""

log = get_logger()
_overloaded = Gauge("edge_overloaded", "1 while new requests are refused because the event loop is late.")


class Overload:
    """Looks how late the event loop is: what waits for its turn waits that long, each piece of a stream too."""

    def __init__(self, *, look_s: float = LOOK_S, late_s: float = LATE_S) -> None:
        """Looks from now on, inside the running loop, until `close`."""
        self._loop = asyncio.get_running_loop()
        self._look_s = look_s
        self._late_s = late_s
        self._late_looks = 0
        self._due_s = 0.0
        self._begin()

    def is_on(self) -> bool:
        """Whether a new request would only make all others slower."""
        return self._late_looks >= LATE_LOOKS

    def close(self) -> None:
        """Looks no more."""
        self._timer.cancel()
        _overloaded.set(0)

    def _begin(self) -> None:
        self._due_s = self._loop.time() + self._look_s
        self._timer = self._loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        was_on = self.is_on()
        late_s = self._loop.time() - self._due_s
        self._late_looks = self._late_looks + 1 if late_s > self._late_s else 0
        if self.is_on() != was_on:
            _overloaded.set(not was_on)
            log.warning("overload_is_over" if was_on else "overloaded", late_ms=round(late_s * 1000))
        self._begin()
