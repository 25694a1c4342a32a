"""Ships a journal to usage: final records until they are acknowledged, and how running requests stand."""

import asyncio
import random
from collections.abc import Callable, Iterable

import grpc

from edge.money import meters
from edge.money.journal import Final, Journal
from edge.money.pace import Pace
from kit import tracing
from kit.errors import RemoteError
from kit.faults import fault_async
from kit.logs import get_logger
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

log = get_logger()

_TAKEN = (usage_pb2.RECORD_OUTCOME_TAKEN, usage_pb2.RECORD_OUTCOME_KNOWN)
_TOO_MUCH = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Shipper:
    """One batch in flight; a row is forgotten when usage has acknowledged it, and retried for ever until then.

    `on_shipped` is called with each final record that will not be sent again, and how much of its cost usage refused.
    """

    def __init__(
        self,
        usage: UsageServiceStub,
        journal: Journal,
        *,
        pace: Pace,
        alive: bool,
        on_shipped: Callable[[Final, int], None] | None = None,
    ) -> None:
        self._usage = usage
        self._journal = journal
        self._pace = pace
        self._alive = alive
        self._on_shipped = on_shipped
        self._reports: dict[str, bytes] = {}
        self._woken = asyncio.Event()
        self._most = pace.ship_most

    def wake(self) -> None:
        """Tells that there is a new final record."""
        self._woken.set()

    def report(self, reports: Iterable[tuple[str, bytes]]) -> None:
        """Takes open records, by request id, to be sent with the next batch; they are in the journal already."""
        self._reports.update(reports)
        self._woken.set()

    def forget_report(self, request_id: str) -> None:
        """Drops the open record of a request that has ended."""
        self._reports.pop(request_id, None)

    async def run(self) -> None:
        """Ships until cancelled, with a sign of life every `life_s`."""
        loop = asyncio.get_running_loop()
        last_s = loop.time() - self._pace.life_s
        while True:
            try:
                async with asyncio.timeout_at(last_s + self._pace.life_s):
                    await self._woken.wait()
                    if self._waiting < self._pace.ship_rows:
                        await self._fill()
            except TimeoutError:
                pass  # time for a sign of life
            await self._ship()
            last_s = loop.time()

    async def drain(self) -> None:
        """Ships until the journal has no more final records."""
        while self._journal.waiting:
            await self._ship()

    @property
    def _waiting(self) -> int:
        return self._journal.waiting + len(self._reports)

    async def _fill(self) -> None:
        """Gives the batch its time to fill, from the first row on."""
        self._woken.clear()
        try:
            async with asyncio.timeout(self._pace.ship_wait_s):
                while self._waiting < self._pace.ship_rows:
                    await self._woken.wait()
                    self._woken.clear()
        except TimeoutError:
            pass

    async def _ship(self) -> None:
        """Sends one batch, again and again until usage answers."""
        backoff_s = self._pace.ship_backoff_s
        while True:
            self._woken.clear()
            finals = self._journal.batch(self._most)
            reports = self._take_reports(self._most - len(finals))
            try:
                await self._send(finals, reports)
            except RemoteError as error:
                log.warning("usage_not_shipped", rows=len(finals), error=str(error))
                if error.code in _TOO_MUCH:
                    # Without the reports, which the next second brings again; then in smaller batches.
                    if reports or self._halve(finals, error):
                        continue
                else:
                    # Newer reports of the same requests win over those that were not sent.
                    self._reports = reports | self._reports
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
                backoff_s = min(backoff_s * 2, self._pace.ship_backoff_most_s)
            else:
                self._most = min(self._most * 2, self._pace.ship_most)
                if self._waiting:
                    self._woken.set()
                return

    def _take_reports(self, most: int) -> dict[str, bytes]:
        if len(self._reports) <= most:
            taken, self._reports = self._reports, {}
            return taken
        return {request_id: self._reports.pop(request_id) for request_id in list(self._reports)[:most]}

    async def _send(self, finals: list[Final], reports: dict[str, bytes]) -> None:
        request = usage_pb2.RecordUsageRequest(
            worker_id=self._journal.worker_id, alive=self._alive, journal_rows=self._journal.waiting - len(finals)
        )
        # Reports first: of the same request the later one counts.
        for record in (*reports.values(), *(final.record for final in finals)):
            request.records.add().MergeFromString(record)
        await fault_async("edge.ship.before_call")
        with tracing.working("ship usage"):
            answer = await self._usage.RecordUsage(request, timeout=self._pace.ship_timeout_s)
        await fault_async("edge.ship.after_call")
        results = answer.results[len(reports) :]
        if len(results) != len(finals):
            raise RemoteError(grpc.StatusCode.INTERNAL, f"{len(results)} answers to {len(finals)} records")
        for final, result in zip(finals, results, strict=True):
            if result.outcome in _TAKEN:
                self._acked(final)
            elif result.outcome == usage_pb2.RECORD_OUTCOME_REFUSED:
                self._park(final, result.detail)
            else:
                raise RemoteError(grpc.StatusCode.INTERNAL, f"outcome {result.outcome}")

    def _halve(self, finals: list[Final], error: RemoteError) -> bool:
        """Makes batches smaller, down to the one record that usage cannot take; whether to go on at once."""
        if len(finals) > 1:
            self._most = max(len(finals) // 2, 1)
            return True
        if finals and error.code == grpc.StatusCode.INVALID_ARGUMENT:
            self._park(finals[0], error.message)
            return True
        return False

    def _acked(self, final: Final) -> None:
        self._journal.acked([final])
        if self._on_shipped:
            self._on_shipped(final, 0)

    def _park(self, final: Final, detail: str) -> None:
        log.error("usage_refused", request_id=final.request_id, cost_nanos=final.cost_nanos, detail=detail)
        meters.parked.inc()
        self._journal.park(final, detail)
        if self._on_shipped:
            self._on_shipped(final, final.cost_nanos)
