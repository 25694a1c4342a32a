"""One request at one upstream, from its slot to what became of it; and the leave to send it once more."""

import enum
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from edge.upstream.budget import RetryBudget
from edge.upstream.members import Member

if TYPE_CHECKING:
    from kit.spans import Open

Judge = Callable[["Visit", "Outcome", float], None]


class Outcome(enum.StrEnum):
    """What a request says of its upstream."""

    SUCCESS = enum.auto()
    """It was answered to its end, or to where we ended it."""
    FAILURE = enum.auto()
    """No connection, a broken one, nonsense, 5xx, or silence for too long."""
    NEUTRAL = enum.auto()
    """Nothing: the client has gone, or the request itself was at fault (4xx)."""
    BUSY = enum.auto()
    """It asked to be left alone for a while (429): a reason to go elsewhere, but no failure."""


class Visit:
    """A request that has a slot. `leave` must follow; as a context it leaves NEUTRAL where nothing else was said."""

    __slots__ = ("_judge", "began_s", "era", "is_on_trial", "member", "span", "was_answered")

    def __init__(self, member: Member, began_s: float, judge: Judge) -> None:
        self.member: Final = member
        self.began_s: Final = began_s
        self.era: Final = member.era
        self.is_on_trial = member.begin(began_s)
        self._judge: Judge | None = judge
        self.was_answered = False
        self.span: Open | None = None
        """Ends with the visit; None while tracing is off."""

    def answered(self, now_s: float) -> None:
        """The first byte of a good answer has come: notes how long it took, and lets the next one on trial."""
        if not self.was_answered:
            self.was_answered = True
            if self.span is not None:
                self.span.event("answered")
            self.member.latency_s = now_s - self.began_s
            self.member.answered(self.era)
            self.end_trial()

    def end_trial(self) -> None:
        """Another request may be tried."""
        if self.is_on_trial:
            self.is_on_trial = False
            self.member.end_trial()

    def leave(self, outcome: Outcome, *, pause_s: float = 0.0) -> None:
        """Gives the slot back and says what became of the request; only the first call counts.

        `pause_s` is how long a BUSY upstream asked to be left alone.
        """
        judge = self._judge
        if judge is not None:
            self._judge = None
            judge(self, outcome, pause_s)
            if self.span is not None:
                self.span.end("" if outcome in {Outcome.SUCCESS, Outcome.NEUTRAL} else outcome.name.lower())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(Outcome.NEUTRAL)


class Retry:
    """The leave to send a request once more. Counts as running until `end`, as a context until its end."""

    __slots__ = ("_budget",)

    def __init__(self, budget: RetryBudget) -> None:
        self._budget: RetryBudget | None = budget

    def end(self) -> None:
        """The answer has begun, or will not come; only the first call counts."""
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def pause_s(retry_after: str) -> float:
    """The pause that a `Retry-After` header asks for; a second where it says none, or says it as a date."""
    is_number = retry_after.isascii() and retry_after.isdigit()
    return float(retry_after[:6]) if is_number else 1.0
