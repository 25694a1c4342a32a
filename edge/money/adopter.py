"""Finds journals of dead workers and brings them to their end: ships what they hold, closes their leases."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from edge.money import files, meters
from edge.money.journal import Final, Journal
from edge.money.pace import Pace
from edge.money.renewals import chunks
from edge.money.shipper import Shipper
from edge.money.store import Store, UnreadableJournal
from kit.errors import RemoteError
from kit.faults import fault_async
from kit.logs import get_logger
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

log = get_logger()


class Adopter:
    """Looks through the journal directory every `adopt_s`; a file whose lock is free belongs to nobody alive."""

    def __init__(
        self,
        own: Path,
        billing: BillingServiceStub,
        usage: UsageServiceStub,
        *,
        pace: Pace,
        now_ns: Callable[[], int],
    ) -> None:
        self._own = own
        self._billing = billing
        self._usage = usage
        self._pace = pace
        self._now_ns = now_ns

    async def run(self) -> None:
        """Adopts until cancelled; what it had begun then, another worker goes on with."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._pace.adopt_s)

    async def sweep(self) -> None:
        """Adopts every journal that is nobody's, one after the other; returns when they are shipped."""
        for path in sorted(self._own.parent.glob(f"*{files.SUFFIX}")):
            # Our own is never opened a second time: closing that would drop SQLite's locks on it.
            if path != self._own and (descriptor := files.lock(path)) is not None:
                await self._adopt(path, descriptor)

    async def _adopt(self, path: Path, descriptor: int) -> None:
        try:
            store = await asyncio.to_thread(Store.open, path)
        except UnreadableJournal as error:
            self._alarm(path, error)
            files.set_aside(path, files.BROKEN)
            os.close(descriptor)
            return
        except BaseException:
            os.close(descriptor)
            raise
        journal = Journal(path, descriptor, store, limit_bytes=self._pace.journal_bytes, now_ns=self._now_ns)
        broken = False
        try:
            await self._finish(journal)
            meters.adopted.inc()
            log.info("journal_adopted", worker_id=journal.worker_id)
        except (UnreadableJournal, sqlite3.Error) as error:
            self._alarm(path, error)
            broken = True
        finally:
            journal.close(broken=broken)

    async def _finish(self, journal: Journal) -> None:
        for record in journal.opens():
            journal.note_final(interrupted(record))
        await journal.commit()
        await fault_async("edge.adopt.after_commit")
        leases = journal.leases()
        renewing = asyncio.create_task(self._renew(journal.worker_id, list(leases)))
        try:
            await self._close(journal.worker_id, leases)
            await fault_async("edge.adopt.after_close")
            await Shipper(self._usage, journal, pace=self._pace, alive=False).drain()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        await fault_async("edge.adopt.after_ship")
        for lease_id in leases:
            journal.forget_lease(lease_id)

    async def _renew(self, worker_id: str, lease_ids: list[str]) -> None:
        """Keeps the leases while usage does not have all of their records: their charges are sure to come."""
        while True:
            try:
                for some in chunks(lease_ids):
                    request = billing_pb2.RenewLeasesRequest(
                        worker_id=worker_id,
                        # What was returned is not in the journal; billing ignores a smaller total.
                        renewals=[billing_pb2.LeaseRenewal(lease_id=each) for each in some],
                    )
                    await self._billing.RenewLeases(request, timeout=self._pace.renew_timeout_s)
            except RemoteError as error:
                log.warning("leases_not_renewed", worker_id=worker_id, error=str(error))
            await asyncio.sleep(self._pace.renew_s)

    async def _close(self, worker_id: str, leases: dict[str, int]) -> None:
        """Closes the leases; tries until billing answers."""
        for some in chunks(list(leases.items())):
            request = billing_pb2.CloseLeasesRequest(
                worker_id=worker_id,
                closings=[billing_pb2.LeaseClosing(lease_id=each, spent_nanos=spent) for each, spent in some],
            )
            while True:
                try:
                    await self._billing.CloseLeases(request, timeout=self._pace.renew_timeout_s)
                    break
                except RemoteError as error:
                    log.warning("leases_not_closed", worker_id=worker_id, error=str(error))
                    await asyncio.sleep(self._pace.tick_s)

    def _alarm(self, path: Path, error: Exception) -> None:
        meters.set_aside.inc()
        log.error("journal_unreadable", path=str(path), error=str(error))


def interrupted(data: bytes) -> Final:
    """The end of a request whose edge died: what was reported last, or nothing where no token had come.

    UnreadableJournal where it is no usage record.
    """
    try:
        record = usage_pb2.UsageRecord.FromString(data)
    except DecodeError as error:
        raise UnreadableJournal(str(error)) from error
    record.status = usage_pb2.USAGE_STATUS_INTERRUPTED
    record.estimated = True
    if record.output_tokens == 0:
        record.cost_nanos = 0
    return Final(record.request_id, record.lease_id, record.cost_nanos, record.SerializeToString())
