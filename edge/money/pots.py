"""A pot: the lease that one API key spends from, and the requests that wait for more credit in it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.money.holds import Hold
from edge.money.leases import Lease
from edge.money.pace import Pace
from edge.money.refusals import Refusal


@dataclass(slots=True, eq=False)
class Waiter:
    """A request that waits for a hold of `least` to `full` nano-dollars."""

    full: int
    least: int
    future: asyncio.Future[Hold]
    patient_until_s: float | None = None
    """Set by the first answer that was too little; from then on a smaller hold will do."""

    def impatient(self, now_s: float) -> bool:
        """Whether it has waited long enough for its full hold."""
        return self.patient_until_s is not None and now_s >= self.patient_until_s

    def take(self, lease: Lease, nanos: int, now_s: float) -> None:
        """Gives the request its hold."""
        lease.take(nanos, now_s)
        self.future.set_result(Hold(lease, nanos))

    def fail(self, error: Callable[[], Exception]) -> None:
        """Tells the request that it gets none."""
        if not self.future.done():
            self.future.set_exception(error())


class Pot:
    """One (account, API key) on this worker."""

    __slots__ = (
        "account_id",
        "api_key_id",
        "cushion_after_s",
        "lease",
        "monthly_limit",
        "news",
        "refusal",
        "supply",
        "waiters",
    )

    def __init__(self, account_id: str, api_key_id: str) -> None:
        self.account_id = account_id
        self.api_key_id = api_key_id
        self.lease: Lease | None = None
        """The one in use."""
        self.waiters: deque[Waiter] = deque()
        self.supply: asyncio.Task[None] | None = None
        """Asks billing, while there is something to ask for."""
        self.monthly_limit: int | None = None
        self.refusal: Refusal | None = None
        self.news = 0
        """Counts changes of credit or limits that we were told of."""
        self.cushion_after_s = 0.0
        """No credit is asked for ahead of need before that."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it worth keeping."""
        return self.lease is None and not self.waiters and self.supply is None and self.refusal is None

    def serve(self, now_s: float, pace: Pace) -> None:
        """Gives holds to those who wait, in their order, as far as the free credit goes.

        Who is out of patience takes what there is, down to its least.
        """
        self.waiters = deque(waiter for waiter in self.waiters if not waiter.future.done())
        lease = self.lease
        if lease is None or not lease.usable(now_s, pace):
            return
        for waiter in self.waiters:
            if lease.free >= waiter.full:
                waiter.take(lease, waiter.full, now_s)
            elif waiter.least <= lease.free and waiter.impatient(now_s):
                waiter.take(lease, lease.free, now_s)
        self.waiters = deque(waiter for waiter in self.waiters if not waiter.future.done())

    def fail(self, error: Callable[[], Exception]) -> None:
        """Tells all who wait that they get nothing."""
        for waiter in self.waiters:
            waiter.fail(error)
        self.waiters.clear()
