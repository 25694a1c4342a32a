"""Lost workers: who has been silent for how long, and the end of what they left open."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter, Gauge

from kit.clock import Clock, boottime_s, utc_now
from kit.database import Database
from kit.faults import fault_async
from kit.logs import get_logger
from services.usage import intake, store, store_outbox, store_workers

_LONGEST_STEP_S = 5.0
_JOURNALS_REMEMBERED = timedelta(days=1)
"""So long a check tells of records that wait in the journal of a worker that is gone."""

log = get_logger()
_interrupted = Counter("usage_interrupted_records", "Open records ended because their worker was lost.")
_silence = Gauge("usage_lost_worker_seconds", "Longest silence of a worker with expired leases that is not drained.")


class Silence:
    """Measures silence in this process's own uptime.

    While usage or its database was away nobody could be heard, so that time does not count: only the
    time between observations does, and of a long gap only its first 5 s.
    """

    def __init__(self) -> None:
        self._uptime_s = 0.0
        self._observed_s: float | None = None
        self._heard: dict[UUID, tuple[datetime | None, float]] = {}

    def observe(self, at_s: float, last_seen: Mapping[UUID, datetime | None]) -> dict[UUID, float]:
        """Seconds of silence of each worker; `at_s` is the time of a clock that never goes back."""
        if self._observed_s is not None:
            self._uptime_s += min(at_s - self._observed_s, _LONGEST_STEP_S)
        self._observed_s = at_s
        self._heard = {
            worker_id: self._heard[worker_id]
            if worker_id in self._heard and self._heard[worker_id][0] == seen
            else (seen, self._uptime_s)
            for worker_id, seen in last_seen.items()
        }
        return {worker_id: self._uptime_s - since_s for worker_id, (_, since_s) in self._heard.items()}


class LostWorkers:
    """Ends the open records of lost workers, and says whose charges are all settled.

    A worker is lost when billing says that its leases have expired and usage has not heard from it for
    `lost_after_s`; without leases, after `forgotten_after_s`.
    """

    def __init__(
        self,
        database: Database,
        *,
        lost_after_s: float = 60.0,
        forgotten_after_s: float = 600.0,
        now: Clock = utc_now,
        elapsed_s: Callable[[], float] = boottime_s,
    ) -> None:
        self._database = database
        self._lost_after_s = lost_after_s
        self._forgotten_after_s = forgotten_after_s
        self._now = now
        self._elapsed_s = elapsed_s
        self._silence = Silence()

    async def review(self, expired: Collection[UUID]) -> set[UUID]:
        """Looks at all workers; the drained ones among those that billing calls expired.

        To be called about once a second. Unavailable when the database is.
        """
        async with self._database.reader() as connection:
            seen = await store_workers.last_seen(connection)
        silence_s = self._silence.observe(self._elapsed_s(), {**dict.fromkeys(expired), **seen})
        lost = {worker_id for worker_id in expired if silence_s[worker_id] >= self._lost_after_s}
        forgotten = {
            worker_id: since
            for worker_id, since in seen.items()
            if worker_id not in lost and silence_s[worker_id] >= self._forgotten_after_s
        }
        drained = await self._end({**{worker_id: seen.get(worker_id) for worker_id in lost}, **forgotten})
        if gone := {worker_id: since for worker_id, since in forgotten.items() if worker_id not in expired}:
            async with self._database.transaction() as connection:
                await store_workers.forget(connection, gone, waited_since=self._now() - _JOURNALS_REMEMBERED)
        _silence.set(max((silence_s[worker_id] for worker_id in expired if worker_id not in drained), default=0))
        return drained & lost

    async def _end(self, lost: Mapping[UUID, datetime | None]) -> set[UUID]:
        """Ends what these workers left open; those of whom nothing is open or unsettled any more."""
        if not lost:
            return set()
        async with self._database.reader() as connection:
            unfinished = await store.workers_with_open_records(connection, lost)
        for worker_id in unfinished:
            await self._end_one(worker_id, lost[worker_id])
        async with self._database.reader() as connection:
            unfinished = await store.workers_with_open_records(connection, lost)
            unsettled = await store_outbox.workers_with_charges(connection, lost)
        return set(lost) - unfinished - unsettled

    async def _end_one(self, worker_id: UUID, last_seen: datetime | None) -> None:
        async with self._database.transaction() as connection:
            if await store_workers.lock(connection, worker_id) != last_seen:
                return  # it has just spoken
            ended = await intake.end_open_records(connection, worker_id, now=self._now())
            await fault_async("usage.lost.before_commit")
        await fault_async("usage.lost.after_commit")
        _interrupted.inc(ended)
        log.warning("worker_lost", worker_id=str(worker_id), interrupted=ended)
