"""The times and amounts by which credit is lent; tests pass shorter ones."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from kit.money import NANOS_PER_USD

FREE_PLAN = "free"
"""The plan on which every account begins; its credits come once, at opening."""

TOP_UP_NANOS = frozenset(dollars * NANOS_PER_USD for dollars in (10, 25, 50, 100, 500))
"""What can be paid at once."""

MOST_ADJUSTED_NANOS = 1_000_000 * NANOS_PER_USD
"""A single adjustment or charge beyond a million dollars is a mistake, not money."""

MOST_POSTED_NANOS = 1_000_000_000 * NANOS_PER_USD
"""No balance is let above this, so that no sum of a few rows leaves int64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The rules of lending (times in milliseconds of billing's uptime where named `_ms`)."""

    lease_ms: int = 60_000
    """A lease expires this long after its last renewal."""
    release_after_ms: int = 90_000
    """An expired lease of a drained worker is released this long after its expiry."""
    recall: timedelta = timedelta(seconds=15)
    """How long a recall stands: longer than the 10 s between two renewals of a worker."""
    floor_nanos: int = NANOS_PER_USD // 1_000
    """An account with less posted than this gets no new credit."""
    cushion_share: int = 8
    """Free credit beyond need is at most this part of what is available ..."""
    cushion_nanos: int = NANOS_PER_USD
    """... and at most this much."""


def month_of(time: datetime) -> date:
    """The first day of the UTC month that an aware UTC time is in."""
    return time.date().replace(day=1)
