"""Old rows are deleted batch by batch and round after round, whatever fails meanwhile."""

import asyncio
from datetime import UTC, datetime

from prometheus_client import REGISTRY

from kit.database import Connection, Database
from kit.errors import Unavailable
from kit.sweep import BATCH, sweep
from tests.support.waiting import eventually

NOW = datetime(2026, 5, 15, tzinfo=UTC)


class Rows:
    """So many rows that are too old, and what happens to some rounds."""

    def __init__(self, *batches: int | Exception) -> None:
        self.batches = list(batches)
        self.asked: list[datetime] = []

    async def delete(self, connection: Connection, now: datetime) -> int:
        assert connection.is_in_transaction()
        self.asked.append(now)
        outcome = self.batches.pop(0) if self.batches else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def all_used(self) -> bool:
        return not self.batches


def counted(name: str, table: str) -> float:
    return REGISTRY.get_sample_value(f"{name}_total", {"table": table}) or 0


async def test_full_batches_follow_one_another_and_failures_end_a_round_only(things: Database) -> None:
    rows = Rows(BATCH, BATCH, 3, Unavailable("the database is away"), ValueError("a mistake"), BATCH, 4)
    sweeping = asyncio.create_task(
        sweep(things, "sample.things", rows.delete, clock=lambda: NOW, every_s=0.01, pause_s=0.001)
    )
    await eventually(rows.all_used)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    assert sweeping.cancelled()
    assert set(rows.asked) == {NOW}
    assert counted("swept_rows", "sample.things") == 3 * BATCH + 7
    assert counted("sweeps_failed", "sample.things") == 2


async def test_the_next_round_comes_after_the_interval_only(things: Database) -> None:
    rows = Rows(5, 6)
    sweeping = asyncio.create_task(sweep(things, "sample.others", rows.delete, clock=lambda: NOW, pause_s=0))

    async def swept() -> bool:
        return counted("swept_rows", "sample.others") == 5

    await eventually(swept)
    await asyncio.sleep(0.05)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    assert rows.batches == [6]
