"""Running requests: how each stands, journaled and reported every second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from edge.money.holds import Hold
from edge.money.journal import Journal
from edge.money.pace import Pace
from edge.money.records import Record, Status
from edge.money.shipper import Shipper

_SLICE = 100
"""Reports made without letting anything else run: about a millisecond."""


@dataclass(slots=True)
class Running:
    """A request under way; `refresh` brings its record up to date."""

    hold: Hold
    record: Record
    refresh: Callable[[], None]
    reported: tuple[int, int, int] | None = None
    """Input tokens, output tokens and cost that were reported last."""

    def has_news(self) -> bool:
        """Whether more was used since this was last asked."""
        self.refresh()
        record = self.record
        known, self.reported = self.reported, (record.input_tokens, record.output_tokens, record.cost_nanos)
        return self.reported != known

    def report(self, now_ns: int) -> bytes:
        """The open record as it stands now."""
        latency_ms = max(now_ns - self.record.start_time_ns, 0) // 1_000_000
        cost_nanos = min(self.record.cost_nanos, self.hold.nanos)
        return msgspec.structs.replace(
            self.record, status=Status.OPEN, cost_nanos=cost_nanos, latency_ms=latency_ms
        ).to_bytes()


class Reports:
    """All running requests, by request id."""

    def __init__(self, journal: Journal, shipper: Shipper, *, pace: Pace, now_ns: Callable[[], int]) -> None:
        self._journal = journal
        self._shipper = shipper
        self._pace = pace
        self._now_ns = now_ns
        self._running: dict[str, Running] = {}

    def begin(self, hold: Hold, record: Record, refresh: Callable[[], None]) -> None:
        """Journals a request that is about to be forwarded; nothing is used yet."""
        self._running[record.request_id] = Running(hold, record, refresh)
        self._journal.note_open(record.request_id, record.to_bytes())

    def end(self, request_id: str) -> None:
        """Stops to report a request."""
        self._running.pop(request_id, None)
        self._shipper.forget_report(request_id)

    async def send(self) -> None:
        """Reports what is older than a second and has something new to tell: to the journal first, then to usage."""
        now_ns = self._now_ns()
        old_ns = now_ns - int(self._pace.tick_s * 1e9)
        reports: dict[str, bytes] = {}
        for number, (request_id, running) in enumerate(list(self._running.items()), 1):
            if running.record.start_time_ns <= old_ns and request_id in self._running and running.has_news():
                reports[request_id] = running.report(now_ns)
                self._journal.note_open(request_id, reports[request_id])
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        if reports and await self._journal.commit():
            self._shipper.report(
                (request_id, report) for request_id, report in reports.items() if request_id in self._running
            )
