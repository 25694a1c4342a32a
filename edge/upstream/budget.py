"""How many requests may be sent once more: few enough that retries never bring down what is still up.

Two bounds, over all upstreams together. At the same time, a fifth of what is in flight (as Envoy's retry budgets), so
that slow failures do not pile up. Over time, a fifth of what goes out, so that fast failures, of which hardly any is in
flight at a time, do not double the load. Both have a floor, or a quiet edge could not retry at all.
"""

from typing import Final

SHARE: Final = 0.2
LEAST_RUNNING: Final = 3
LEAST_PER_S: Final = 10.0
"""Two upstreams can be found dead within a second (five failures each) without a client noticing."""


class RetryBudget:
    """Counts retries; `now_s` is any clock that is never set back."""

    def __init__(self, now_s: float) -> None:
        self._running = 0
        self._saved = LEAST_PER_S
        """Retries that may still be begun: what requests and the passing of time have paid in, less what was begun."""
        self._filled_s = now_s

    @property
    def running(self) -> int:
        """Retries whose answer has not begun."""
        return self._running

    def note_request(self) -> None:
        """A request goes out, the first time or again."""
        self._saved += SHARE

    def try_begin(self, in_flight: int, now_s: float) -> bool:
        """Whether another retry may begin, while so many requests are in flight; if so, `end` must follow."""
        share = SHARE * in_flight
        self._saved += (now_s - self._filled_s) * LEAST_PER_S
        self._filled_s = now_s
        # What a busy hour has paid in must not be spent in a bad second.
        self._saved = min(self._saved, max(LEAST_PER_S, share))
        if self._running >= max(LEAST_RUNNING, share) or self._saved < 1:
            return False
        self._running += 1
        self._saved -= 1
        return True

    def end(self) -> None:
        """A retry's answer has begun, or will not come."""
        self._running -= 1
