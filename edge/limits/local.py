"""The same limits in this process, by the same rules as `take.lua`; and which requests of this process have slots."""

from collections.abc import Callable, Sequence

from edge.limits.levels import Bucket, Limit, Slots, Taken

MAX_LOCAL_BUCKETS = 100_000


class LocalLimits:
    """Levels of buckets, and the members of slots: the requests that run here."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._full_at: dict[str, int] = {}
        self.running: dict[str, set[str]] = {}
        """Members by the name of their slots; of all requests of this process, wherever they were allowed."""

    def take(self, limits: Sequence[Limit], member: str = "") -> Taken:
        """Takes from every limit, or nothing from any."""
        now = self._now_us()
        levels = [self._level(limit, now) for limit in limits]
        for limit, level in zip(limits, levels, strict=True):
            if isinstance(limit, Slots):
                if level >= limit.size:
                    return Taken(False, levels)
            elif limit.full_us - level < limit.cost_us:
                return Taken(False, levels)
        for place, limit in enumerate(limits):
            if isinstance(limit, Slots):
                levels[place] += 1
                self.enter(limit.name, member)
            else:
                levels[place] += limit.cost_us
                self._owe(limit.name, levels[place], now)
        return Taken(True, levels)

    def give(self, bucket: Bucket, back_us: int) -> None:
        """Gives some of a bucket back, or takes more of it: it is never more than full, nor less than empty."""
        now = self._now_us()
        owed = max(self._full_at.get(bucket.name, 0) - now, 0)
        self._owe(bucket.name, min(max(owed - back_us, 0), bucket.full_us), now)

    def enter(self, name: str, member: str) -> None:
        """A request of this process has a slot."""
        self.running.setdefault(name, set()).add(member)

    def leave(self, name: str, member: str) -> None:
        """It has it no more."""
        members = self.running.get(name)
        if members is not None:
            members.discard(member)
            if not members:
                del self.running[name]

    def _level(self, limit: Limit, now: int) -> int:
        if isinstance(limit, Slots):
            return len(self.running.get(limit.name, ()))
        return max(self._full_at.get(limit.name, 0) - now, 0)

    def _owe(self, name: str, debt_us: int, now: int) -> None:
        self._full_at[name] = now + debt_us
        if len(self._full_at) > MAX_LOCAL_BUCKETS:
            self._forget(now)

    def _forget(self, now: int) -> None:
        """Drops full buckets, and the oldest half where hardly any is full: they err in the caller's favour."""
        self._full_at = {name: moment for name, moment in self._full_at.items() if moment > now}
        while len(self._full_at) > MAX_LOCAL_BUCKETS // 2:
            self._full_at.pop(next(iter(self._full_at)))
