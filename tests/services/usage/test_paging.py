"""Deep pages of a list: skipped by the sums of days, and still exactly those that are due, whatever clocks did."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.database import Connection
from kit.timestamps import from_proto, to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import paging, store
from services.usage.records import Record
from tests.services.usage.conftest import Usage, id_at, make_id

DAY = datetime(2026, 5, 15, tzinfo=UTC)
A_DAY = 10
OTHER = "privaterouter/embed"


async def fill(usage: Usage) -> list[pb.UsageRecord]:
    """Ten records on each of five days, newest id first; at each midnight, ids and starts of the other day."""
    moments = [
        (DAY + timedelta(days=day, hours=2 * hour), DAY + timedelta(days=day, hours=2 * hour))
        for day in range(5)
        for hour in range(1, A_DAY + 1)
    ]
    for midnight in (DAY + timedelta(days=day) for day in range(1, 5)):
        moment = timedelta(milliseconds=1)
        moments += [
            (midnight - moment, midnight + moment),  # the clock was read twice
            (midnight + moment, midnight - timedelta(hours=3)),  # it was set back
            (midnight - moment * 5, midnight + timedelta(hours=20)),
        ]
    records = [
        usage.record(
            request_id=id_at(made),
            start_time=to_proto(started),
            model_public_name=OTHER if number % 3 == 0 else "privaterouter/fast",
            status=pb.USAGE_STATUS_CANCELLED if number % 4 == 0 else pb.USAGE_STATUS_SUCCESS,
        )
        for number, (made, started) in enumerate(moments)
    ]
    await usage.send(*records, usage.record(account_id=make_id(), start_time=to_proto(DAY), request_id=id_at(DAY)))
    return sorted(records, key=lambda record: record.request_id, reverse=True)


@pytest.fixture
def skipped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each page still skipped in an index; days are skipped however few there are."""
    monkeypatch.setattr(paging, "NEAR", 1)
    found: list[int] = []
    final_records = store.final_records

    async def noted(connection: Connection, conditions: dict[str, object], **page: Any) -> list[Record]:
        found.append(page["offset"])
        return await final_records(connection, conditions, **page)

    monkeypatch.setattr(store, "final_records", noted)
    return found


FILTERS = (
    pb.UsageFilter(),
    pb.UsageFilter(model_public_name=OTHER),
    pb.UsageFilter(status=pb.USAGE_STATUS_SUCCESS),
    pb.UsageFilter(status=pb.USAGE_STATUS_CANCELLED),
    pb.UsageFilter(from_time=to_proto(DAY + timedelta(hours=30))),
    pb.UsageFilter(to_time=to_proto(DAY + timedelta(hours=90))),
    pb.UsageFilter(from_time=to_proto(DAY + timedelta(hours=15)), to_time=to_proto(DAY + timedelta(days=4))),
    pb.UsageFilter(from_time=to_proto(DAY + timedelta(days=1)), status=pb.USAGE_STATUS_SUCCESS),
)


@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
async def test_each_page_is_a_part_of_the_whole_list(usage: Usage, skipped: list[int], wanted: pb.UsageFilter) -> None:
    def matches(record: pb.UsageRecord) -> bool:
        started = from_proto(record.start_time)
        return (
            wanted.model_public_name in ("", record.model_public_name)
            and wanted.status in (0, record.status)
            and (not wanted.HasField("from_time") or started >= from_proto(wanted.from_time))
            and (not wanted.HasField("to_time") or started < from_proto(wanted.to_time))
        )

    expected = [record.request_id for record in await fill(usage) if matches(record)]
    assert len(expected) > A_DAY
    for offset in range(len(expected) + 2):
        page = await usage.list(limit=3, offset=offset, filter=wanted)
        assert [record.request_id for record in page.records] == expected[offset : offset + 3], offset
        assert page.total == len(expected)
    assert skipped


async def test_a_deep_page_reads_no_more_than_a_day(usage: Usage, skipped: list[int]) -> None:
    everything = await fill(usage)
    middle = len(everything) // 2
    for offset in range(middle - A_DAY, middle + A_DAY):
        await usage.list(limit=3, offset=offset)
    assert len(skipped) == 2 * A_DAY
    assert max(skipped) < 2 * A_DAY


async def test_a_page_beyond_the_end_looks_for_nothing(usage: Usage, skipped: list[int]) -> None:
    await fill(usage)
    nothing = await usage.list(filter=pb.UsageFilter(model_public_name="privaterouter/none"))
    assert (nothing, skipped) == (pb.ListUsageResponse(), [])


async def test_pages_are_planned_for_what_is_asked(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fifth deep page of a connection takes much longer than those before it."""
    modes: list[str] = []
    final_records = store.final_records

    async def noted(connection: Connection, conditions: dict[str, object], **page: Any) -> list[Record]:
        modes.append(await connection.fetchval("SHOW plan_cache_mode"))
        return await final_records(connection, conditions, **page)

    monkeypatch.setattr(store, "final_records", noted)
    newest, *_ = await fill(usage)
    await usage.list()
    await usage.list(before_request_id=newest.request_id)
    assert modes == ["force_custom_plan"] * 2
