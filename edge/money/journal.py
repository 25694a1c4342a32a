"""The journal: what a worker must not forget when it dies, in one file.

It holds the leases that the worker may have, the open record of each running request, and each final record until
usage has acknowledged it. All that is noted in one tick of the event loop is one transaction. A transaction that fails
(disk full) stays in memory and is tried again, so that nothing noted is lost while the process lives.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.money import files
from edge.money.store import Changes, Store, UnreadableJournal
from kit.faults import fault
from kit.logs import get_logger

log = get_logger()


@dataclass(slots=True, eq=False)
class Final:
    """A final record on its way into the journal, and through it to usage."""

    request_id: str
    lease_id: str
    cost_nanos: int
    record: bytes
    """A serialised UsageRecord."""
    landed: Callable[[], None] | None = None
    """Called once, when the record can no longer be lost: it is written, or usage has it."""
    sequence: int | None = None
    """Its place in the file; None while it is only in memory."""
    acked: bool = False
    """Usage had it before it could be written; what it does to its lease still has to be."""

    def land(self) -> None:
        """Calls `landed`, the first time."""
        landed, self.landed = self.landed, None
        if landed:
            landed()


class Journal:
    """One worker's journal. `note_*` take effect with the tick's transaction; `commit` waits for it."""

    def __init__(
        self, path: Path, descriptor: int, store: Store, *, limit_bytes: int, now_ns: Callable[[], int]
    ) -> None:
        self.path = path
        self.worker_id = store.worker_id
        self.failed = False
        """Whether the last transaction failed."""
        self.used_bytes = 0
        """Of the file, when last measured."""
        self.full = False
        """Whether the file had reached its limit when last measured."""
        self._descriptor = descriptor
        self._store = store
        self._limit_bytes = limit_bytes
        self._now_ns = now_ns
        self._scheduled = self._closed = False
        self._waiting: list[asyncio.Future[bool]] = []
        self._changes = Changes()
        self._finals: list[Final] = []
        """Not written yet."""
        self._acked_to = 0
        self._rows, self._sequence = store.finals_end()

    @classmethod
    def create(
        cls, directory: Path, worker_id: str, *, synchronous: str, limit_bytes: int, now_ns: Callable[[], int]
    ) -> "Journal":
        """A new journal. OSError or sqlite3.Error where it cannot be made."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = files.path_of(directory, worker_id)
        descriptor = files.lock(path, create=True)
        if descriptor is None:
            raise OSError(f"{path} belongs to another process")
        try:
            store = Store.create(path, worker_id, synchronous=synchronous)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, store, limit_bytes=limit_bytes, now_ns=now_ns)

    def note_lease(self, lease_id: str) -> None:
        """Notes a lease; commit before billing is asked for it."""
        self._changes.new_leases.append(lease_id)
        self._schedule()

    def forget_lease(self, lease_id: str) -> None:
        """Forgets a lease that is closed, and all of whose records usage has."""
        self._changes.old_leases.append(lease_id)
        self._schedule()

    def note_open(self, request_id: str, record: bytes) -> None:
        """Notes how a running request stands."""
        self._changes.opens[request_id] = record
        self._schedule()

    def note_final(self, final: Final) -> None:
        """Notes how a request ended: its open record goes, and its cost is added to what its lease has spent."""
        changes = self._changes
        changes.opens.pop(final.request_id, None)
        changes.ended.append(final.request_id)
        self._spend(final, final.cost_nanos)
        self._finals.append(final)
        self._schedule()

    def park(self, final: Final, detail: str) -> None:
        """Puts a record that usage has refused apart: it is kept, not sent again, and spends nothing of its lease."""
        self._changes.parked.append((final.request_id, detail, final.record))
        self._spend(final, -final.cost_nanos)
        self.acked([final])

    def acked(self, finals: Sequence[Final]) -> None:
        """Forgets records that usage has: of those that `batch` gave the first ones not yet forgotten, in order."""
        for final in finals:
            if final.sequence is None:
                final.acked = True
                final.land()
            else:
                self._acked_to = final.sequence
                self._rows -= 1
        self._schedule()

    async def commit(self) -> bool:
        """Waits for this tick's transaction; False where it failed and stays in memory."""
        if self._closed:
            return False
        if not (self._scheduled or self.failed):
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._schedule()
        return await future

    def retry(self) -> None:
        """Tries a failed transaction again."""
        if self.failed:
            self._schedule()

    def batch(self, most: int) -> list[Final]:
        """The oldest final records that usage does not have: those in the file, then those only in memory."""
        finals = [
            Final(request_id, lease_id, cost_nanos, record, sequence=sequence)
            for sequence, request_id, lease_id, cost_nanos, record in self._store.finals(
                after=self._acked_to, most=most
            )
        ]
        return finals + (self._unacked()[: most - len(finals)] if self.failed else [])

    @property
    def waiting(self) -> int:
        """How many records `batch` could give."""
        return self._rows + (len(self._unacked()) if self.failed else 0)

    @property
    def refuses(self) -> bool:
        """Whether there is no place for new requests."""
        return self.failed or self.full

    def measure(self) -> float:
        """Looks how full the file is; answers the age in seconds of the oldest record that usage does not have."""
        with suppress(sqlite3.Error):
            self.used_bytes = self._store.used_bytes()
            self.full = self.used_bytes > self._limit_bytes
            oldest_ns = self._store.oldest_ns(after=self._acked_to)
            if oldest_ns is not None:
                return (self._now_ns() - oldest_ns) / 1e9
        return 0.0

    def opens(self) -> list[bytes]:
        """Records of the requests that were running. UnreadableJournal."""
        try:
            return self._store.opens()
        except sqlite3.Error as error:
            raise UnreadableJournal(str(error)) from error

    def leases(self) -> dict[str, int]:
        """Nano-dollars spent of each lease in all, by lease id. UnreadableJournal."""
        try:
            return self._store.leases()
        except sqlite3.Error as error:
            raise UnreadableJournal(str(error)) from error

    def close(self, *, broken: bool = False) -> None:
        """Writes what is left and lets go of the file, which is removed if nothing in it is of use any more.

        A file with refused records only, or a `broken` one, is renamed and kept; any other is left to be adopted.
        """
        ending = None
        try:
            self._flush()
            ending = files.BROKEN if broken else self._ending()
        finally:
            self._closed = True
            try:
                self._store.close()
                if ending == "":
                    files.remove(self.path)
                elif ending is not None:
                    files.set_aside(self.path, ending)
            finally:
                # Or nobody could adopt it for as long as this process lives.
                os.close(self._descriptor)

    def _ending(self) -> str | None:
        """What the file's name is to end in; empty: to be removed; None: to be left as it is."""
        try:
            if self.failed or self._rows or self._store.opens() or self._store.leases():
                return None
            return files.PARKED if self._store.parked() else ""
        except sqlite3.Error:
            return None

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        changes, unacked = self._changes, self._unacked()
        changes.finals = [
            (sequence, final.request_id, final.lease_id, final.cost_nanos, final.record)
            for sequence, final in enumerate(unacked, self._sequence + 1)
        ]
        changes.acked_to = self._acked_to
        try:
            fault("edge.journal.before_write")
            self._store.write(changes, now_ns=self._now_ns())
        except Exception as error:
            # Whatever it is, nobody may wait for ever.
            if not self.failed:
                log.exception("journal_unwritable", path=str(self.path), error=str(error))
            self.failed = True
        else:
            if self.failed:
                log.info("journal_writable", path=str(self.path))
            self.failed = False
            self._changes, self._finals = Changes(), []
            for final in unacked:
                self._sequence += 1
                self._rows += 1
                final.sequence = self._sequence
                final.land()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(not self.failed)
        if not self.failed:
            fault("edge.journal.after_write")

    def _unacked(self) -> list[Final]:
        return [final for final in self._finals if not final.acked]

    def _spend(self, final: Final, nanos: int) -> None:
        if final.lease_id and nanos:
            spent = self._changes.spent
            spent[final.lease_id] = spent.get(final.lease_id, 0) + nanos
