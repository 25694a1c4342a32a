"""ListModelUsage: the charged requests of one model in a time span, of all accounts, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from kit.errors import RemoteError
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.services.usage.conftest import Usage, make_id

FAST = "privaterouter/fast"
DAY = datetime(2026, 5, 15, tzinfo=UTC)


def at(usage: Usage, start: datetime, **changes: Any) -> pb.UsageRecord:
    """A record whose id was made as it started, as an edge makes it."""
    request_id = IdFactory(lambda: int(start.timestamp()) * 1_000_000_000)()
    return usage.record(**{"request_id": str(request_id), "start_time": to_proto(start)} | changes)


async def span(usage: Usage, start: datetime, end: datetime, **arguments: Any) -> list[str]:
    """The ids of the model's requests from `start` to before `end`."""
    values: dict[str, Any] = {"model_public_name": FAST, "from_time": to_proto(start), "to_time": to_proto(end)}
    request = pb.ListModelUsageRequest(**values | arguments)
    return [record.request_id for record in (await usage.stub.ListModelUsage(request)).records]


async def test_it_lists_what_was_charged_of_every_account_but_of_no_other_model_or_time(usage: Usage) -> None:
    hour = timedelta(hours=1)
    wanted = [
        at(usage, DAY),
        at(usage, DAY + hour, account_id=make_id()),
        at(usage, DAY + 2 * hour, status=pb.USAGE_STATUS_CANCELLED),
    ]
    await usage.send(
        *wanted,
        at(usage, DAY - timedelta(seconds=1)),
        at(usage, DAY + 3 * hour),
        at(usage, DAY + hour, model_public_name="privaterouter/embed"),
        at(usage, DAY + hour, status=pb.USAGE_STATUS_ERROR, cost_nanos=0, uncharged_nanos=16_000),
        at(usage, DAY + hour, status=pb.USAGE_STATUS_OPEN, finish_reason=""),
    )
    assert await span(usage, DAY, DAY + 3 * hour, limit=1_000) == [record.request_id for record in wanted]


async def test_a_request_is_that_of_the_model_that_answered_it(usage: Usage) -> None:
    own = at(usage, DAY, served_model_public_name=FAST)
    taken_over = at(usage, DAY, served_model_public_name="privaterouter/qwen-fast")
    stood_in = at(usage, DAY, model_public_name="privaterouter/qwen-fast", served_model_public_name=FAST)
    await usage.send(own, taken_over, stood_in)
    end = DAY + timedelta(hours=1)
    assert set(await span(usage, DAY, end)) == {own.request_id, stood_in.request_id}
    assert await span(usage, DAY, end, model_public_name="privaterouter/qwen-fast") == [taken_over.request_id]


async def test_pages_follow_each_other_without_gap_or_double(usage: Usage) -> None:
    made = [at(usage, DAY + timedelta(minutes=minute)) for minute in range(7)]
    await usage.send(*made)
    read: list[str] = []
    while page := await span(usage, DAY, DAY + timedelta(days=1), limit=3, after_request_id=read[-1] if read else ""):
        read += page
    assert read == [record.request_id for record in made]


async def test_a_request_whose_clock_was_set_back_after_its_id_was_made_is_found(usage: Usage) -> None:
    ahead = at(usage, DAY + timedelta(hours=2), start_time=to_proto(DAY + timedelta(hours=1)))
    await usage.send(ahead)
    assert await span(usage, DAY, DAY + timedelta(hours=2)) == [ahead.request_id]


async def test_a_span_to_the_end_of_time_can_be_asked_for(usage: Usage) -> None:
    record = at(usage, DAY)
    await usage.send(record)
    latest = datetime.max.replace(tzinfo=UTC)
    assert await span(usage, datetime(1900, 1, 1, tzinfo=UTC), latest) == [record.request_id]


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"model_public_name": ""}, "model_public_name"),
        ({"from_time": None}, "from_time"),
        ({"to_time": None}, "to_time"),
        ({"to_time": to_proto(DAY - timedelta(days=1))}, "from_time"),
        ({"limit": 1_001}, "limit"),
        ({"after_request_id": "nonsense"}, "after_request_id"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(usage: Usage, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(RemoteError) as refused:
        await span(usage, DAY, DAY, **arguments)
    assert (refused.value.code, refused.value.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, field)
