"""A bounded memory of answers that forgets by age, and at once when told of a change."""

from collections.abc import Callable
from typing import Generic, TypeVar

_SEEN_FOR_S = 60.0
"""Longer than any look-up takes."""

V = TypeVar("V")


class Cache(Generic[V]):
    """Values by key, each about some subjects (ids); a change of a subject drops what is about it.

    An answer that may be older than a change that we have seen is not kept: see `outdated`.
    """

    def __init__(self, *, ttl_s: float, most: int, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock
        self._entries: dict[str, tuple[float, V, tuple[str, ...]]] = {}
        self._keys: dict[str, set[str]] = {}
        self._seen: dict[str, tuple[float, int | None]] = {}

    def get(self, key: str) -> V | None:
        """The value, unless it is too old."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._clock() < entry[0] else None

    def put(self, key: str, value: V, *, about: tuple[str, ...], within_s: float | None = None) -> None:
        """Keeps a value for the usual time, or for `within_s` if that is shorter."""
        self._remove(key)
        if len(self._entries) >= self._most:
            # The first is the oldest: entries are added at the end, and none is moved.
            self._remove(next(iter(self._entries)))
        ttl_s = self._ttl_s if within_s is None else min(self._ttl_s, within_s)
        self._entries[key] = (self._clock() + ttl_s, value, about)
        for subject in about:
            self._keys.setdefault(subject, set()).add(key)

    def drop(self, subject: str, sequence: int | None) -> None:
        """Forgets what is about a subject that has changed; `sequence` is the change's number, where we know it."""
        for key in tuple(self._keys.get(subject, ())):
            self._remove(key)
        now_s = self._clock()
        self._seen.pop(subject, None)
        self._seen[subject] = (now_s, sequence)
        while (oldest := next(iter(self._seen))) and self._seen[oldest][0] < now_s - _SEEN_FOR_S:
            del self._seen[oldest]

    def outdated(self, about: tuple[str, ...], *, asked_s: float, sequence: int) -> bool:
        """Whether an answer asked for at `asked_s`, reflecting changes up to `sequence`, may miss one we have seen."""
        for subject in about:
            if (seen := self._seen.get(subject)) is not None:
                seen_s, number = seen
                # A hint of the bus has no number: it may be missed by what was asked for before it came.
                if asked_s <= seen_s if number is None else number > sequence:
                    return True
        return False

    def changed_since(self, asked_s: float) -> bool:
        """Whether any subject has changed since then."""
        return bool(self._seen) and self._seen[next(reversed(self._seen))][0] >= asked_s

    def clear(self) -> None:
        """Forgets all values."""
        self._entries.clear()
        self._keys.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _remove(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            for subject in entry[2]:
                keys = self._keys[subject]
                keys.discard(key)
                if not keys:
                    del self._keys[subject]
