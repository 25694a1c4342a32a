"""Remembers for a moment which buckets are empty, so that whoever keeps knocking is refused without asking Valkey."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.limits.levels import Bucket, Limit, Taken

MOST_US = 1_000_000
"""For so long at most, as with a 402."""
MAX_KEPT = 10_000


class _Refused(NamedTuple):
    limits: tuple[Limit, ...]
    taken: Taken
    at_us: int
    until_us: int


class Refused:
    """Of buckets that nothing is given back to: they allow a request no earlier than they said."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._by_name: dict[str, _Refused] = {}

    def note(self, limits: tuple[Limit, ...], taken: Taken, at_us: int) -> None:
        """These limits have refused; `at_us` is when they were asked, or before."""
        for limit, level in zip(limits, taken.levels, strict=True):
            if isinstance(limit, Bucket) and not limit.returns:
                short_us = limit.cost_us - (limit.full_us - level)
                if short_us > 0:
                    if len(self._by_name) >= MAX_KEPT:
                        self._by_name.clear()
                    until_us = at_us + min(short_us, MOST_US)
                    self._by_name[limit.name] = _Refused(limits, taken, at_us, until_us)
                    return

    def find(self, limits: Sequence[Limit]) -> Taken | None:
        """The refusal of a request with such limits, as it would be now; None: it has to be asked for."""
        if not self._by_name:
            return None
        now_us = self._now_us()
        for limit in limits:
            known = self._by_name.get(limit.name)
            if known is None:
                continue
            if now_us >= known.until_us:
                del self._by_name[limit.name]
            elif limit in known.limits and [each.name for each in limits] == [each.name for each in known.limits]:
                passed_us = now_us - known.at_us
                return Taken(
                    False,
                    [
                        max(level - passed_us, 0) if isinstance(each, Bucket) else level
                        for each, level in zip(limits, known.taken.levels, strict=True)
                    ],
                )
        return None
