"""What a request takes of a limit, and what the levels that come back mean: the arithmetic of all limits.

A bucket's level is a debt in microseconds: a bucket of N tokens that refills in W owes W/N for each token taken, and
the debt shrinks with time (the "theoretical arrival time" of GCRA). The level of slots is how many of them are taken.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

_US = 1_000_000
FREED_AFTER_S = 1.0
"""What is said of slots, which come free when a request ends: nobody knows when."""


class Bucket(msgspec.Struct, frozen=True):
    """`size` tokens, refilled evenly within `window_s`; a request takes `amount` of them."""

    name: str
    size: int
    window_s: int
    amount: int = 1
    returns: bool = False
    """Whether some of what is taken may be given back."""

    @property
    def full_us(self) -> int:
        """What an empty bucket owes."""
        return self.window_s * _US if self.size > 0 else 0

    @property
    def cost_us(self) -> int:
        """What this request owes, at most a full bucket.

        Rounded down, by less than a microsecond: `size` tokens must never owe more than the bucket holds.
        """
        if self.size <= 0:
            return 1
        return min(self.amount, self.size) * self.window_s * _US // self.size

    def back_us(self, used: int) -> int:
        """What it gets back when it has used so many tokens; negative where it must take more."""
        if self.size <= 0:
            return 0
        return (min(self.amount, self.size) - used) * self.window_s * _US // self.size


class Slots(msgspec.Struct, frozen=True):
    """`size` places; a request has one of them while it runs."""

    name: str
    size: int


Limit = Bucket | Slots


class Taken(NamedTuple):
    """Whether all limits allowed a request, and their levels in order: after it was allowed, or as they refused it."""

    allowed: bool
    levels: Sequence[int]


class RateAnswer(msgspec.Struct, frozen=True):
    """Where limits stand, for headers: it describes the one that refuses, else the one with the least left."""

    allowed: bool
    limit: int
    """Its size."""
    remaining: int
    reset_s: float
    """Until it is full again."""
    retry_after_s: float
    """Until this request may succeed; 0 where the limit allows it."""


def state(limit: Limit, level: int, *, taken: bool) -> RateAnswer:
    """How one limit stands at this level; `taken` says whether the request is counted in it."""
    if isinstance(limit, Slots):
        allowed = taken or level < limit.size
        retry_s = 0.0 if allowed else FREED_AFTER_S
        return RateAnswer(allowed, limit.size, max(0, limit.size - level), retry_s, retry_s)
    if limit.size <= 0:
        return RateAnswer(allowed=False, limit=0, remaining=0, reset_s=limit.window_s, retry_after_s=limit.window_s)
    full, cost = limit.full_us, limit.cost_us
    short = 0 if taken else max(0, cost - (full - level))
    remaining = max(0, full - level) * limit.size // full
    return RateAnswer(not short, limit.size, remaining, level / _US, short / _US)


def summary(limits: Sequence[Limit], taken: Taken) -> RateAnswer:
    """The one that describes all of them: of those that refuse the one with the longest wait."""
    if len(limits) == 1:
        return state(limits[0], taken.levels[0], taken=taken.allowed)
    states = [state(limit, level, taken=taken.allowed) for limit, level in zip(limits, taken.levels, strict=True)]
    refusing = [each for each in states if not each.allowed]
    if refusing:
        return max(refusing, key=lambda each: each.retry_after_s)
    return min(states, key=lambda each: each.remaining)
