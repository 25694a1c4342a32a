"""What this edge knows of one upstream: how busy it is, whether it fails, and when it may be tried again.

        5 failures in a row                     its time is over, or a probe succeeds
healthy ------------------> ejected for a time ----------------------------------> on trial
   ^                              ^                  its request fails                |
   |                              +---------------------------------------------------+
   +----------------------------------------------------------------------------------+
                                      its request succeeds

An ejection only tells where not to send requests while there is somewhere else: see choosing.py.
"""

import enum
from typing import Final

from edge.lookup.catalogue import Upstream
from edge.upstream.slots import Slots

FAILURES: Final = 5
"""So many in a row eject an upstream, counted apart before the first byte and after it.

Else one that only ever begins to answer would have no row, nor one that answers no more while long streams end well.
"""
EJECTION_S: Final = 30.0
"""How long the first ejection lasts; each further one lasts so much longer."""
MOST_EJECTIONS: Final = 10
FORGIVEN_S: Final = 300.0
"""A healthy time that makes one ejection forgotten."""
MOST_COOLING_S: Final = 30.0
SUSPECT_PROBES: Final = 3
"""Failed probes in a row after which an upstream is avoided."""


class Level(enum.IntEnum):
    """How gladly a request is sent to an upstream; lower is better."""

    GOOD = 0
    AVOIDED = 1
    """It is full, asked for a pause, does not answer probes, or has its request on trial."""
    EJECTED = 2
    SILENT = 3
    """Ejected, and probes confirm it."""


class Standing(enum.StrEnum):
    """What is said of an upstream to people; whether it is full or pauses is left out."""

    HEALTHY = enum.auto()
    SUSPECT = enum.auto()
    """Requests have not failed, but it does not answer probes."""
    EJECTED = enum.auto()
    ON_TRIAL = enum.auto()
    """Its ejection is over; the next request decides."""


class Member:
    """The state of one upstream. Times are seconds of any clock that is never set back."""

    def __init__(self, upstream: Upstream, slots: Slots, now_s: float) -> None:
        self.upstream = upstream
        self.slots: Final = slots
        self.latency_s: float | None = None
        """From the last request to its first byte."""
        self._unanswered = 0
        """Requests in a row that failed before their first byte."""
        self._broken = 0
        """Answers in a row that failed after it."""
        self.failed_probes = 0
        """In a row."""
        self.outcomes: dict[str, int] = {}
        """Requests that have ended, by what they said of it."""
        self.ejected_total = 0
        self.probes_total = 0
        self.failed_probes_total = 0
        self.era = 0
        """Grows with each ejection: what was sent in an earlier era says nothing of the present one."""
        self.ejected_until_s: float | None = None
        """None while it is in use; in the past while it is on trial."""
        self._ejections = 0
        self._healthy_since_s = now_s
        self._on_trial = 0
        self._cooling_until_s = now_s
        self._ended_by_probe = False
        self._believes_probes = True

    def level(self, now_s: float) -> Level:
        """How gladly it is used now."""
        if self.ejected_until_s is not None:
            if now_s < self.ejected_until_s:
                return Level.SILENT if self.is_suspect else Level.EJECTED
            if self._on_trial:
                return Level.AVOIDED
        if self.is_suspect or now_s < self._cooling_until_s or self.slots.is_full:
            return Level.AVOIDED
        return Level.GOOD

    @property
    def is_suspect(self) -> bool:
        """Whether it does not answer probes."""
        return self.failed_probes >= SUSPECT_PROBES

    def standing(self, now_s: float) -> Standing:
        """How it stands, in a word."""
        if self.ejected_until_s is not None:
            return Standing.EJECTED if now_s < self.ejected_until_s else Standing.ON_TRIAL
        return Standing.SUSPECT if self.is_suspect else Standing.HEALTHY

    def ejections(self, now_s: float) -> int:
        """How many ejections count against it: one less for each long healthy time."""
        if self.ejected_until_s is not None:
            return self._ejections
        return max(self._ejections - int((now_s - self._healthy_since_s) / FORGIVEN_S), 0)

    def begin(self, now_s: float) -> bool:
        """A request is sent. Whether it is the one on trial: then `end_trial` must follow."""
        if self.ejected_until_s is None or now_s < self.ejected_until_s:
            return False
        self._on_trial += 1
        return True

    def end_trial(self) -> None:
        """The request on trial was answered, or it has ended: another one may be tried."""
        self._on_trial -= 1

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._unanswered + self._broken

    def answered(self, era: int) -> None:
        """A request that was sent in this era got the first byte of a good answer."""
        if era == self.era:
            self._unanswered = 0
            self.failed_probes = 0

    def succeeded(self, era: int, now_s: float) -> None:
        """A request that was sent in this era was answered to its end.

        That says nothing against failures before a first byte: it may have begun long ago, when all was well.
        """
        if era != self.era:
            return
        self._broken = 0
        if self.ejected_until_s is not None:
            self.ejected_until_s = None
            self._unanswered = 0
            self._healthy_since_s = now_s
            self._believes_probes = True

    def failed(self, era: int, now_s: float, *, was_answered: bool) -> None:
        """A request that was sent in this era failed, before its first byte or after."""
        if era != self.era:
            return
        if was_answered:
            self._broken += 1
        else:
            self._unanswered += 1
        if self.ejected_until_s is None:
            if max(self._unanswered, self._broken) >= FAILURES:
                self._eject(now_s)
        elif now_s >= self.ejected_until_s:
            if self._ended_by_probe:
                # What probes ask works, and what clients ask does not.
                self._believes_probes = False
            self._eject(now_s)

    def cool_down(self, wish_s: float, now_s: float) -> None:
        """It asked for a pause."""
        self._cooling_until_s = max(self._cooling_until_s, now_s + min(max(wish_s, 0.0), MOST_COOLING_S))

    def probed(self, now_s: float, *, is_healthy: bool) -> None:
        """A probe was answered, or not. One that fails ejects nobody: it is what clients ask for that counts."""
        self.probes_total += 1
        if not is_healthy:
            self.failed_probes += 1
            self.failed_probes_total += 1
            self._believes_probes = True  # It sees what is wrong, so it will see when that is over.
            return
        self.failed_probes = 0
        if self._believes_probes and self.ejected_until_s is not None and now_s < self.ejected_until_s:
            self.ejected_until_s = now_s
            self._ended_by_probe = True

    def _eject(self, now_s: float) -> None:
        self._ejections = min(self.ejections(now_s) + 1, MOST_EJECTIONS)
        self.ejected_until_s = now_s + EJECTION_S * self._ejections
        self._ended_by_probe = False
        self.ejected_total += 1
        self.era += 1
        self._unanswered = self._broken = 0
