"""The edge's half of the money path: hold before a request, journal while it runs, charge when it ends."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from edge.errors import unavailable
from edge.money import meters
from edge.money.adopter import Adopter
from edge.money.book import Book
from edge.money.credit import Credit
from edge.money.holds import Hold, Needs
from edge.money.journal import Final, Journal
from edge.money.pace import Pace
from edge.money.records import Record, Status
from edge.money.renewals import Renewals
from edge.money.reports import Reports
from edge.money.shipper import Shipper
from edge.tasks import Tasks
from kit.clock import boottime_s
from kit.errors import RemoteError
from kit.faults import fault, fault_async
from kit.ids import IdFactory
from kit.logs import get_logger
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

log = get_logger()


def _up_to_date() -> None:
    """Of a record that is written when something is used."""


class MoneyPath:
    """Holds, leases and usage records of this worker; a worker is one of these from `start` to death.

    hold = path.try_hold(...) or await path.hold(...)
    path.open(hold, record, refresh)    before forwarding; else path.release(hold)
    await path.finish(hold, record)     before the last byte goes out, whatever the end was
    """

    def __init__(
        self,
        billing: BillingServiceStub,
        usage: UsageServiceStub,
        *,
        journal_dir: Path,
        synchronous: str = "off",
        pace: Pace | None = None,
        clock: Callable[[], float] = boottime_s,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Makes the journal: OSError or sqlite3.Error where that is not possible."""
        self._pace = pace = pace or Pace()
        self._clock = clock
        new_id = IdFactory(now_ns)
        self.worker_id = str(new_id())
        self._journal = journal = Journal.create(
            journal_dir, self.worker_id, synchronous=synchronous, limit_bytes=pace.journal_bytes, now_ns=now_ns
        )
        self._book = Book(pace)
        self._renewals = Renewals(billing, self._book, journal, pace=pace, clock=clock)
        self._credit = Credit(
            billing, self._book, journal, self._renewals, pace=pace, clock=clock, new_id=lambda: str(new_id())
        )
        self._shipper = Shipper(usage, journal, pace=pace, alive=True, on_shipped=self._shipped)
        self._reports = Reports(journal, self._shipper, pace=pace, now_ns=now_ns)
        self._adopter = Adopter(journal.path, billing, usage, pace=pace, now_ns=now_ns)
        self._tasks = Tasks()
        self._closing = False

    def try_hold(self, *, account_id: str, api_key_id: str, full_nanos: int) -> Hold | None:
        """A hold of `full_nanos` from free credit, or None; microseconds, asks nobody."""
        return self._credit.try_hold(account_id, api_key_id, full_nanos)

    def check(self, *, account_id: str, api_key_id: str, monthly_limit_nanos: int | None, needs: Needs) -> None:
        """EdgeError insufficient_credits or key_limit_reached where `hold` has just refused the same; asks nobody."""
        self._credit.check(account_id, api_key_id, monthly_limit_nanos, needs)

    async def hold(
        self,
        *,
        account_id: str,
        api_key_id: str,
        monthly_limit_nanos: int | None,
        full_nanos: int,
        least_nanos: int,
    ) -> Hold:
        """A hold of `least_nanos` to `full_nanos` (look at its `nanos`), asking billing where free credit is short.

        Raises EdgeError insufficient_credits, key_limit_reached, credits_in_use or service_unavailable.
        A hold of 0 needs no lease and is always given.
        """
        if self._closing:
            raise unavailable()
        return await self._credit.hold(
            account_id,
            api_key_id,
            monthly_limit_nanos=monthly_limit_nanos,
            full_nanos=full_nanos,
            least_nanos=least_nanos,
        )

    def release(self, hold: Hold) -> None:
        """Gives all of a hold back: nothing was forwarded, so there is no record. A second call does nothing."""
        if not hold.ended:
            hold.ended = True
            self._credit.settle(hold, 0)

    def open(self, hold: Hold, record: Record, refresh: Callable[[], None] = _up_to_date) -> None:
        """Journals the open record with this loop tick's transaction and begins to report it every second.

        The record is read again for every report, after `refresh` has brought its tokens and cost up to date.
        Raises EdgeError service_unavailable where the journal cannot be written or is full; release the hold then.
        """
        if self._closing or self._journal.refuses:
            raise unavailable()
        self._name(hold, record)
        fault("edge.open.before_note")
        self._reports.begin(hold, record, refresh)

    async def finish(self, hold: Hold, record: Record) -> None:
        """Journals the final record; the last byte may go out then. Never fails; a second call does nothing.

        A cost beyond the hold is moved to `uncharged_nanos`. The rest of the hold becomes free again.
        """
        if not hold.ended:
            hold.ended = True
            self._reports.end(record.request_id)
            self._name(hold, record)
            self._bound(hold, record)
            if hold.lease:
                hold.lease.unacked += 1
            self._journal.note_final(
                Final(
                    record.request_id,
                    record.lease_id,
                    record.cost_nanos,
                    record.to_bytes(),
                    landed=partial(self._landed, hold, record.cost_nanos),
                )
            )
        try:
            # Where the journal cannot be written, the record is shipped from memory and keeps its hold until then.
            await self._journal.commit()
            await fault_async("edge.finish.after_commit")
        except Exception:
            # It is noted, and will be charged: who asked must not be told that it has failed.
            log.exception("finish_failed", request_id=record.request_id)
        self._shipper.wake()

    def recall(self, account_id: str) -> None:
        """Gives back the account's free credit: it is wanted elsewhere."""
        self._renewals.recall(account_id)

    def forget_refusals(self, account_id: str) -> None:
        """Asks billing anew for this account, whose credit or limits have changed."""
        self._credit.forget_refusals(account_id)

    def free_nanos(self, account_id: str, api_key_id: str = "") -> int:
        """Free credit of an account, or of one of its keys, on this worker; what others have is not known here."""
        now_s = self._clock()
        return sum(
            pot.lease.free
            for pot in self._book.pots(account_id)
            if api_key_id in ("", pot.api_key_id) and pot.lease and pot.lease.usable(now_s, self._pace)
        )

    async def start(self) -> None:
        """Begins to renew, report, ship and adopt."""
        self._tasks.start("money.renew", self._renewals.run)
        self._tasks.start("money.close", self._renewals.run_closing)
        self._tasks.start("money.tick", self._run_ticks)
        self._tasks.start("money.ship", self._shipper.run)
        self._tasks.start("money.adopt", self._adopter.run)

    async def close(self) -> None:
        """Ships everything and gives the leases back, in bounded time; what is left another worker adopts."""
        self._closing = True
        await self._tasks.close()
        await self._credit.close()
        await self._renewals.close()
        try:
            async with asyncio.timeout(self._pace.close_s):
                await asyncio.gather(self._shipper.drain(), self._close_leases())
                await self._renewals.close_ended()
        except (TimeoutError, RemoteError) as error:
            log.warning("left_to_be_adopted", rows=self._journal.waiting, error=repr(error))
        self._journal.close()

    async def ready(self) -> bool:
        """Whether this worker should get requests: it has found billing, and can journal.

        Later silence of billing says nothing of this worker: it is the same for all of them.
        """
        return self._renewals.has_heard and not self._closing and not self._journal.refuses

    def _name(self, hold: Hold, record: Record) -> None:
        record.worker_id = self.worker_id
        record.lease_id = hold.lease.id if hold.lease else ""
        record.held_nanos = hold.nanos

    def _bound(self, hold: Hold, record: Record) -> None:
        """Nothing is charged that was not held, whatever the caller computed."""
        if record.status is Status.OPEN:
            log.error("finished_while_open", request_id=record.request_id)
            record.status = Status.ERROR
        excess = record.cost_nanos - max(min(record.cost_nanos, hold.nanos), 0)
        if excess:
            record.cost_nanos -= excess
            record.uncharged_nanos += max(excess, 0)
            meters.uncharged_nanos.inc(max(excess, 0))

    def _landed(self, hold: Hold, cost_nanos: int) -> None:
        self._credit.settle(hold, cost_nanos)

    def _shipped(self, final: Final, refused_nanos: int) -> None:
        if lease := self._book.leases.get(final.lease_id):
            lease.unacked -= 1
            if refused_nanos:
                # It will never be settled.
                lease.spent -= refused_nanos

    async def _run_ticks(self) -> None:
        while True:
            await asyncio.sleep(self._pace.tick_s)
            self._journal.retry()
            self._book.prune(self._clock())
            self._measure()
            await self._reports.send()

    def _measure(self) -> None:
        meters.tasks.set(len(asyncio.all_tasks()))
        meters.journal_oldest_s.set(self._journal.measure())
        meters.journal_rows.set(self._journal.waiting)
        meters.journal_refuses.set(self._journal.refuses)
        meters.journal_bytes.set(self._journal.used_bytes)
        meters.journal_max_bytes.set(self._pace.journal_bytes)
        with suppress(OSError):
            disk = os.statvfs(self._journal.path)
            meters.journal_disk_free_bytes.set(disk.f_bavail * disk.f_frsize)
            meters.journal_disk_bytes.set(disk.f_blocks * disk.f_frsize)
        meters.billing_silent_s.set(self._clock() - self._renewals.heard_s)
        leases = self._book.leases.values()
        meters.leases.set(len(leases))
        meters.held_nanos.set(sum(lease.held for lease in leases))
        meters.free_nanos.set(sum(lease.free for lease in leases))

    async def _close_leases(self) -> None:
        while True:
            try:
                await self._renewals.close_ended()
                return
            except RemoteError as error:
                log.warning("leases_not_closed", error=str(error))
                await asyncio.sleep(self._pace.ship_backoff_s)
