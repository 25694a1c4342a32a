"""Gives requests their holds: from free credit at once, else by asking billing for more."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import grpc

from edge.batch import Batcher
from edge.errors import EdgeError, unavailable
from edge.money import refusals
from edge.money.book import Book
from edge.money.holds import Hold, Needs
from edge.money.journal import Journal
from edge.money.leases import Lease
from edge.money.pace import Pace
from edge.money.pots import Pot, Waiter
from edge.money.refusals import Refusal
from edge.money.renewals import Renewals
from kit.errors import RemoteError
from kit.faults import fault_async
from kit.logs import get_logger
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

log = get_logger()

_REFUSED = (
    billing_pb2.LEASE_OUTCOME_INSUFFICIENT_CREDITS,
    billing_pb2.LEASE_OUTCOME_KEY_LIMIT_REACHED,
)

_MAX_GONE = 3
"""New leases in a row that billing says are gone already: it is not the end of a month."""


class Credit:
    """The pots of this worker; for each, at most one call about it is under way."""

    def __init__(
        self,
        billing: BillingServiceStub,
        book: Book,
        journal: Journal,
        renewals: Renewals,
        *,
        pace: Pace,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._billing = billing
        self._book = book
        self._journal = journal
        self._renewals = renewals
        self._pace = pace
        self._clock = clock
        self._new_id = new_id
        self._ask: Batcher[billing_pb2.LeaseWish, billing_pb2.LeaseGrant] = Batcher(
            self._acquire, most=1_000, in_flight=4
        )

    def try_hold(self, account_id: str, api_key_id: str, full_nanos: int) -> Hold | None:
        """A hold from free credit, or None."""
        if full_nanos <= 0:
            return Hold(None, 0)
        pot = self._book.find(account_id, api_key_id)
        if pot is None or (lease := pot.lease) is None:
            return None
        now_s = self._clock()
        free = lease.free
        if free < full_nanos or not lease.usable(now_s, self._pace):
            return None
        lease.take(full_nanos, now_s)
        if free - full_nanos < lease.low_water and pot.supply is None and now_s >= pot.cushion_after_s:
            self._start(pot)
        return Hold(lease, full_nanos)

    def check(self, account_id: str, api_key_id: str, monthly_limit_nanos: int | None, needs: Needs) -> None:
        """EdgeError where `hold` would refuse again what it has just refused; asks nobody."""
        pot = self._book.find(account_id, api_key_id)
        if pot is None or (refusal := pot.refusal) is None:
            return
        full, now_s, lease = needs.full_nanos, self._clock(), pot.lease
        has_credit = lease is not None and lease.free >= full and lease.usable(now_s, self._pace)
        if full > 0 and not has_credit and refusal.covers(_least(needs.least_nanos, full), monthly_limit_nanos, now_s):
            raise refusal.error()

    async def hold(
        self, account_id: str, api_key_id: str, *, monthly_limit_nanos: int | None, full_nanos: int, least_nanos: int
    ) -> Hold:
        """A hold of `least_nanos` to `full_nanos`; EdgeError, see MoneyPath.hold."""
        if hold := self.try_hold(account_id, api_key_id, full_nanos):
            return hold
        if self._journal.refuses:
            raise unavailable()
        pot = self._book.pot(account_id, api_key_id)
        least_nanos = _least(least_nanos, full_nanos)
        if (refusal := pot.refusal) and refusal.covers(least_nanos, monthly_limit_nanos, self._clock()):
            raise refusal.error()
        pot.monthly_limit = monthly_limit_nanos
        waiter = Waiter(full_nanos, least_nanos, asyncio.get_running_loop().create_future())
        pot.waiters.append(waiter)
        if pot.supply is None:
            self._start(pot)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                self.settle(waiter.future.result(), 0)
            raise

    def settle(self, hold: Hold, cost_nanos: int) -> None:
        """Ends a hold: `cost_nanos` of it are spent; the rest is free again, first for those who wait."""
        if (lease := hold.lease) is None:
            return
        now_s = self._clock()
        lease.settle(hold.nanos, cost_nanos, now_s)
        pot = self._book.find(lease.account_id, lease.api_key_id)
        if pot and pot.waiters and pot.lease is lease:
            pot.serve(now_s, self._pace)

    def forget_refusals(self, account_id: str) -> None:
        """Asks billing anew for this account."""
        for pot in self._book.pots(account_id):
            pot.refusal = None
            pot.news += 1

    async def close(self) -> None:
        """Ends all waiting; takes all leases out of use."""
        for pot in self._book.all_pots():
            if pot.supply:
                pot.supply.cancel()
                await asyncio.gather(pot.supply, return_exceptions=True)
            pot.fail(unavailable)
            if pot.lease:
                self._book.end(pot.lease)
        await self._ask.close()

    def _start(self, pot: Pot) -> None:
        pot.supply = asyncio.create_task(self._supply(pot))

    async def _supply(self, pot: Pot) -> None:
        """Asks billing until nobody waits and the cushion is as it should be."""
        pause_s = self._pace.retry_s
        gone = 0
        try:
            while gone < _MAX_GONE:
                lease = await self._usable_lease(pot)
                pot.serve(self._clock(), self._pace)
                wish = self._wish(pot, lease)
                if wish is None:
                    return
                asked, news = tuple(pot.waiters), pot.news
                grant = await self._ask(wish)
                self._note(pot, lease, wish, grant)
                gone += grant.outcome == billing_pb2.LEASE_OUTCOME_LEASE_GONE
                if grant.granted_nanos >= wish.known_granted_nanos + wish.wanted_nanos:
                    # Who waits still was not refused anything: others came meanwhile, and there may be more.
                    continue
                if asked and (wait_s := self._answer(pot, lease, grant, asked=asked, news=news)):
                    # Somebody waits for credit that others have been told to give back.
                    await asyncio.sleep(min(pause_s, wait_s))
                    pause_s *= 2
            raise unavailable()
        except (RemoteError, EdgeError) as error:
            log.warning("credit_not_supplied", account_id=pot.account_id, waiting=len(pot.waiters), error=str(error))
            pot.cushion_after_s = self._clock() + self._pace.refusal_s
            pot.fail(unavailable)
        except Exception:
            log.exception("credit_supply_failed", account_id=pot.account_id)
            pot.fail(refusals.broken)
        finally:
            pot.supply = None

    async def _usable_lease(self, pot: Pot) -> Lease:
        """The pot's lease; a new one is in the journal before billing is asked for it. EdgeError, RemoteError."""
        while True:
            if (lease := pot.lease) is None:
                lease = self._book.begin(pot, self._new_id(), self._clock())
                self._journal.note_lease(lease.id)
            if not await self._journal.commit():
                raise unavailable()
            if lease.granted and not lease.ended and not lease.usable(self._clock(), self._pace):
                await self._renewals.renew([lease])
            if pot.lease is lease:
                return lease

    def _wish(self, pot: Pot, lease: Lease) -> billing_pb2.LeaseWish | None:
        """What to ask for: all that those who wait need, and the cushion. None: nothing."""
        now_s = self._clock()
        waiting = sum(waiter.full for waiter in pot.waiters)
        least = max(min(waiter.least for waiter in pot.waiters) - lease.free, 1) if pot.waiters else 0
        if pot.waiters:
            lease.used_s = now_s
        lease.recent.note_level(now_s, lease.held + waiting)
        cushion = lease.cushion(now_s, self._pace) if now_s >= pot.cushion_after_s else 0
        lease.low_water = cushion // 2
        if not pot.waiters and (cushion == 0 or lease.free >= lease.low_water):
            return None
        return billing_pb2.LeaseWish(
            lease_id=lease.id,
            account_id=pot.account_id,
            api_key_id=pot.api_key_id,
            known_granted_nanos=lease.granted,
            wanted_nanos=max(waiting + cushion - lease.free, least),
            least_nanos=least,
            key_monthly_limit_nanos=pot.monthly_limit,
            needed_nanos=max(waiting - lease.free, least),
        )

    async def _acquire(self, wishes: list[billing_pb2.LeaseWish]) -> Sequence[billing_pb2.LeaseGrant]:
        sent_s = self._clock()
        request = billing_pb2.AcquireLeasesRequest(worker_id=self._journal.worker_id, wishes=wishes)
        await fault_async("edge.acquire.before_call")
        answer = await self._billing.AcquireLeases(request, timeout=self._pace.ask_timeout_s)
        await fault_async("edge.acquire.after_call")
        if len(answer.grants) != len(wishes):
            raise RemoteError(grpc.StatusCode.INTERNAL, f"{len(answer.grants)} answers to {len(wishes)} wishes")
        self._renewals.heard_s = max(self._renewals.heard_s, sent_s)
        return answer.grants

    def _note(self, pot: Pot, lease: Lease, wish: billing_pb2.LeaseWish, grant: billing_pb2.LeaseGrant) -> None:
        """Takes over what billing says of the lease, and serves those who wait."""
        now_s = self._clock()
        lease.granted = max(lease.granted, grant.granted_nanos)
        if grant.outcome == billing_pb2.LEASE_OUTCOME_LEASE_GONE:
            self._book.end(lease)
            return
        # Billing's 60 s began with the first ask, which may be older than the one that was answered.
        lease.answered_s = max(lease.answered_s, lease.begun_s)
        if grant.granted_nanos < wish.known_granted_nanos + wish.wanted_nanos:
            pot.cushion_after_s = max(pot.cushion_after_s, now_s + self._pace.refusal_s)
        pot.serve(now_s, self._pace)
        if grant.recall:
            self._renewals.recall(pot.account_id)

    def _answer(
        self,
        pot: Pot,
        lease: Lease,
        grant: billing_pb2.LeaseGrant,
        *,
        asked: tuple[Waiter, ...],
        news: int,
    ) -> float | None:
        """Answers those who asked and got too little, unless it is worth their while to wait: then for how long."""
        now_s = self._clock()
        short = [waiter for waiter in asked if not waiter.future.done()]
        if not short or grant.outcome == billing_pb2.LEASE_OUTCOME_LEASE_GONE:
            return None
        if grant.outcome == billing_pb2.LEASE_OUTCOME_ACCOUNT_NOT_FOUND:
            _fail(short, refusals.not_opened)
            return None
        final = grant.outcome in _REFUSED
        # More may come: of what others give back when recalled, or of what this lease's own requests leave over.
        in_use = grant.outcome == billing_pb2.LEASE_OUTCOME_CREDITS_IN_USE
        hope = not final and (in_use or grant.recall or lease.held > 0)
        for waiter in short:
            if final or waiter.patient_until_s is None:
                waiter.patient_until_s = now_s + (self._pace.patience_s if hope else 0.0)
        pot.serve(now_s, self._pace)
        refused = [waiter for waiter in short if not waiter.future.done() and waiter.impatient(now_s)]
        if final:
            self._refuse(pot, refused, grant, remember=pot.news == news)
        else:
            _fail([waiter for waiter in refused if waiter.least <= grant.posted_nanos], refusals.credits_in_use)
            for waiter in refused:
                waiter.fail(partial(refusals.insufficient_credits, grant.posted_nanos, waiter.least))
        waiting = [waiter for waiter in short if not waiter.future.done()]
        if not waiting:
            return None
        self._renewals.recall(pot.account_id, but=lease)
        if all(waiter.least > lease.free for waiter in waiting):
            # Of no use to them; given back, it lets billing judge the whole of what they need.
            self._renewals.give_back([lease])
        return min(waiter.patient_until_s or now_s for waiter in waiting) - now_s

    def _refuse(self, pot: Pot, waiters: list[Waiter], grant: billing_pb2.LeaseGrant, *, remember: bool) -> None:
        """Answers with a 402, and remembers it unless we were told of a change meanwhile."""
        if not waiters:
            return
        least = min(waiter.least for waiter in waiters)
        if grant.outcome == billing_pb2.LEASE_OUTCOME_KEY_LIMIT_REACHED:
            error = partial(refusals.key_limit_reached, pot.monthly_limit)
        else:
            error = partial(refusals.insufficient_credits, grant.posted_nanos, least)
        if remember:
            pot.refusal = Refusal(error, least, pot.monthly_limit, self._clock() + self._pace.refusal_s)
        _fail(waiters, error)


def _least(least_nanos: int, full_nanos: int) -> int:
    """What a hold must have: something, and no more than the whole."""
    return max(min(least_nanos, full_nanos), 1)


def _fail(waiters: list[Waiter], error: Callable[[], EdgeError]) -> None:
    for waiter in waiters:
        waiter.fail(error)
