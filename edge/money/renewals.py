"""Tells billing about this worker's leases: renews them, gives free credit back, closes them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TypeVar

import grpc

from edge.money.book import Book
from edge.money.journal import Journal
from edge.money.leases import Lease
from edge.money.pace import Pace
from kit.errors import RemoteError
from kit.faults import fault_async
from kit.logs import get_logger
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

log = get_logger()

MAX_LEASES = 10_000
"""In one call, by the contract."""

T = TypeVar("T")


def chunks(items: Sequence[T], size: int = MAX_LEASES) -> Iterable[Sequence[T]]:
    """The items in their order, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


class Renewals:
    """Only totals cross the wire, so that a repeated, late or lost call does no harm."""

    def __init__(
        self,
        billing: BillingServiceStub,
        book: Book,
        journal: Journal,
        *,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._billing = billing
        self._book = book
        self._journal = journal
        self._pace = pace
        self._clock = clock
        self._giving: dict[str, Lease] = {}
        self._giver: asyncio.Task[None] | None = None
        self.has_heard = False
        """Whether billing has answered this worker at all."""
        self.heard_s = clock() - 2 * pace.stale_s
        """When the last call was sent that billing answered; long ago at the start."""

    async def run(self) -> None:
        """Renews all leases every `renew_s`; while billing is silent every `tick_s`."""
        while True:
            try:
                await self.renew_all()
                await asyncio.sleep(self._pace.renew_s)
            except RemoteError as error:
                log.warning("leases_not_renewed", leases=len(self._book.leases), error=str(error))
                await asyncio.sleep(self._pace.tick_s)

    async def run_closing(self) -> None:
        """Closes what is ended, every `tick_s`."""
        while True:
            await asyncio.sleep(self._pace.tick_s)
            try:
                await self.close_ended()
            except RemoteError as error:
                log.warning("leases_not_closed", error=str(error))

    async def renew_all(self) -> None:
        """Renews every lease, closed ones too, and gives back what is free beyond the cushion. RemoteError."""
        now_s = self._clock()
        # One that billing has not answered for may not exist yet: "gone" would be wrong.
        leases = [lease for lease in self._book.leases.values() if lease.answered_s > -inf]
        for lease in leases:
            pot = self._book.find(lease.account_id, lease.api_key_id)
            if not (pot and pot.lease is lease and pot.waiters):
                lease.give_back(lease.cushion(now_s, self._pace))
        for some in chunks(leases) if leases else [leases]:
            await self.renew(some)

    async def renew(self, leases: Sequence[Lease]) -> None:
        """Renews these leases. RemoteError."""
        sent_s = self._clock()
        request = billing_pb2.RenewLeasesRequest(
            worker_id=self._journal.worker_id,
            renewals=[billing_pb2.LeaseRenewal(lease_id=each.id, returned_nanos=each.returned) for each in leases],
        )
        await fault_async("edge.renew.before_call")
        answer = await self._billing.RenewLeases(request, timeout=self._pace.renew_timeout_s)
        await fault_async("edge.renew.after_call")
        if len(answer.leases) != len(leases):
            raise RemoteError(grpc.StatusCode.INTERNAL, f"{len(answer.leases)} answers for {len(leases)} leases")
        self.has_heard = True
        self.heard_s = max(self.heard_s, sent_s)
        for lease, state in zip(leases, answer.leases, strict=True):
            self._note(lease, state, sent_s)

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Gives back all free credit of these leases, as soon as billing can be told."""
        self._giving |= {lease.id: lease for lease in leases if lease.give_back(0)}
        if self._giving and self._giver is None:
            self._giver = asyncio.create_task(self._give())

    def recall(self, account_id: str, *, but: Lease | None = None) -> None:
        """Gives back the account's free credit, but for what requests wait for, and leaves it alone for a while."""
        pots = self._book.pots(account_id)
        for pot in pots:
            pot.cushion_after_s = self._clock() + self._pace.quiet_s
        self.give_back(pot.lease for pot in pots if pot.lease and pot.lease is not but and not pot.waiters)

    async def close_ended(self) -> None:
        """Closes ended leases on which nothing runs, and forgets those that usage knows all of. RemoteError."""
        ready = [lease for lease in self._book.ended.values() if not lease.closed and not lease.held]
        for some in chunks(ready):
            request = billing_pb2.CloseLeasesRequest(
                worker_id=self._journal.worker_id,
                closings=[billing_pb2.LeaseClosing(lease_id=each.id, spent_nanos=each.spent) for each in some],
            )
            await fault_async("edge.close.before_call")
            await self._billing.CloseLeases(request, timeout=self._pace.renew_timeout_s)
            await fault_async("edge.close.after_call")
            for lease in some:
                lease.closed = True
        for lease in [lease for lease in self._book.ended.values() if lease.closed and not lease.unacked]:
            self._book.forget(lease)
            self._journal.forget_lease(lease.id)

    async def close(self) -> None:
        """Ends the calls that give credit back; closing the leases gives back all."""
        if self._giver:
            self._giver.cancel()
            await asyncio.gather(self._giver, return_exceptions=True)

    async def _give(self) -> None:
        try:
            while self._giving:
                leases = list(self._giving.values())
                self._giving.clear()
                for some in chunks(leases):
                    await self.renew(some)
        except RemoteError as error:
            # The next renewal tells the same totals.
            log.warning("credit_not_given_back", error=str(error))
        finally:
            self._giver = None

    def _note(self, lease: Lease, state: billing_pb2.LeaseState, sent_s: float) -> None:
        lease.granted = max(lease.granted, state.granted_nanos)
        if state.gone or state.month_over:
            if not lease.ended:
                log.info("lease_ended", lease_id=lease.id, gone=state.gone, month_over=state.month_over)
                self._book.end(lease)
        else:
            lease.answered_s = max(lease.answered_s, sent_s)
        if state.recall:
            self.recall(lease.account_id)
