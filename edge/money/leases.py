"""A lease as the worker that holds it sees it: three totals, the holds on it, and what is free."""

from math import inf

from edge.money.pace import Pace

_STEPS = 10


class Recent:
    """The highest and the sum of the numbers noted in the last `window_s`, in ten steps."""

    __slots__ = ("_at", "_peaks", "_step_s", "_sums")

    def __init__(self, window_s: float) -> None:
        self._step_s = window_s / _STEPS
        self._at = 0
        self._peaks = [0] * _STEPS
        self._sums = [0] * _STEPS

    def note_level(self, now_s: float, level: int) -> None:
        """Notes how high something stands now."""
        slot = self._turn(now_s)
        self._peaks[slot] = max(self._peaks[slot], level)

    def note_flow(self, now_s: float, amount: int) -> None:
        """Notes that something flowed now."""
        self._sums[self._turn(now_s)] += amount

    def peak(self, now_s: float) -> int:
        """The highest level noted."""
        self._turn(now_s)
        return max(self._peaks)

    def flow(self, now_s: float) -> int:
        """The sum of what flowed."""
        self._turn(now_s)
        return sum(self._sums)

    def _turn(self, now_s: float) -> int:
        step = int(now_s / self._step_s)
        if step != self._at:
            for old in range(max(self._at + 1, step - _STEPS + 1), step + 1):
                self._peaks[old % _STEPS] = self._sums[old % _STEPS] = 0
            self._at = step
        return step % _STEPS


class Lease:
    """Credit set aside for one (account, API key) on this worker; nano-dollars throughout.

    `free` never goes below zero, and `granted = returned + spent + held + free` at every moment.
    """

    __slots__ = (
        "account_id",
        "answered_s",
        "api_key_id",
        "begun_s",
        "closed",
        "ended",
        "granted",
        "held",
        "id",
        "low_water",
        "recent",
        "returned",
        "spent",
        "unacked",
        "used_s",
    )

    def __init__(self, lease_id: str, *, account_id: str, api_key_id: str, now_s: float, pace: Pace) -> None:
        self.id = lease_id
        self.account_id = account_id
        self.api_key_id = api_key_id
        self.granted = 0
        """Total that billing has granted, as far as known."""
        self.returned = 0
        """Total of free credit given back; counted before billing is told."""
        self.spent = 0
        """Total cost of the final records."""
        self.held = 0
        """Sum of the holds of running requests."""
        self.low_water = 0
        """Free credit below which more is asked for."""
        self.begun_s = now_s
        """When it was made, just before billing was first asked for it."""
        self.answered_s = -inf
        """When the last answered renewal was sent, by CLOCK_BOOTTIME."""
        self.used_s = now_s
        """When a request last began or ended."""
        self.ended = False
        """Takes no new holds; closed as soon as no request runs on it."""
        self.closed = False
        """Billing was told `spent`, and no more will be."""
        self.unacked = 0
        """Final records that usage has not acknowledged."""
        self.recent = Recent(pace.recent_s)

    @property
    def free(self) -> int:
        """What can be held or given back."""
        return self.granted - self.returned - self.spent - self.held

    def usable(self, now_s: float, pace: Pace) -> bool:
        """Whether new holds may be taken on it."""
        return not self.ended and now_s - self.answered_s <= pace.stale_s

    def take(self, nanos: int, now_s: float) -> None:
        """Holds so much of the free credit."""
        self.held += nanos
        self.used_s = now_s
        self.recent.note_level(now_s, self.held)

    def settle(self, held_nanos: int, cost_nanos: int, now_s: float) -> None:
        """Ends a hold: `cost_nanos` of it are spent, the rest is free again."""
        self.held -= held_nanos
        self.spent += cost_nanos
        self.used_s = now_s
        if cost_nanos:
            self.recent.note_flow(now_s, cost_nanos)

    def cushion(self, now_s: float, pace: Pace) -> int:
        """How much should be free: the recent peak of holds and the recent spend; nothing once idle."""
        if self.ended or now_s - self.used_s >= pace.idle_s:
            return 0
        return min(self.recent.peak(now_s) + self.recent.flow(now_s), pace.max_cushion_nanos)

    def give_back(self, keep_nanos: int) -> bool:
        """Counts free credit above `keep_nanos` as returned; whether there was any."""
        excess = self.free - keep_nanos
        if excess <= 0:
            return False
        self.returned += excess
        return True
