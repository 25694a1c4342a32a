"""One thing that was looked at: how it is, and what would mend it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ANSWER_WITHIN_S: Final = 5.0
SKEW_WARNING_S: Final = 2.0
"""The `Date` of an HTTP answer has whole seconds."""
SKEW_FAILURE_S: Final = 30.0


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may not for long, or not as it should."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It cannot be seen from here."""


@dataclass(frozen=True, slots=True)
class Check:
    """`mend` is what to do about it, empty where nothing is."""

    name: str
    state: State
    what: str
    mend: str = ""

    @property
    def line(self) -> str:
        """For people."""
        text = f"{self.state.upper() if self.state is State.FAILED else self.state:<8} {self.name:<22} {self.what}"
        return f"{text} -> {self.mend}" if self.mend else text


def ok(name: str, what: str) -> Check:
    """All is well."""
    return Check(name, State.OK, what)


def warning(name: str, what: str, mend: str) -> Check:
    """It works for now."""
    return Check(name, State.WARNING, what, mend)


def failed(name: str, what: str, mend: str) -> Check:
    """It does not work."""
    return Check(name, State.FAILED, what, mend)


def skipped(name: str, what: str) -> Check:
    """Not looked at, and why."""
    return Check(name, State.SKIPPED, what)


def clock(against: str, ahead_s: float) -> Check:
    """How far another machine's clock is ahead of this one's."""
    name = f"clock of {against}"
    if abs(ahead_s) < SKEW_WARNING_S:
        return ok(name, "as here")
    what = f"{abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}, seen from here"
    mend = "let both follow the same time servers (chrony, systemd-timesyncd)"
    return (failed if abs(ahead_s) >= SKEW_FAILURE_S else warning)(name, what, mend)
