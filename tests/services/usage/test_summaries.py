"""SummarizeUsage: sums by day, model and key."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from kit.errors import RemoteError
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.services.usage.conftest import Usage, make_id

FAST, EMBED = "privaterouter/fast", "privaterouter/embed"


def row(value: str, requests: int, errors: int, cost_nanos: int, *, split: str = "") -> pb.SummaryRow:
    return pb.SummaryRow(
        group_value=value,
        split_value=split,
        requests=requests,
        errors=errors,
        input_tokens=requests * 100,
        cached_input_tokens=requests * 10,
        cache_write_input_tokens=requests * 20,
        output_tokens=requests * 20,
        reasoning_tokens=requests * 5,
        cost_nanos=cost_nanos,
    )


@pytest.fixture
async def filled(usage: Usage) -> Usage:
    """Five records on three days; one failed, one of another key."""
    before_midnight = to_proto(datetime(2026, 5, 15, 23, 59, 59, 999_999, tzinfo=UTC))
    midnight = to_proto(datetime(2026, 5, 16, tzinfo=UTC))
    later = to_proto(datetime(2026, 6, 1, 12, tzinfo=UTC))
    await usage.send(
        usage.record(start_time=before_midnight),
        usage.record(start_time=midnight, model_public_name=EMBED),
        usage.record(start_time=midnight, status=pb.USAGE_STATUS_ERROR, cost_nanos=0),
        usage.record(start_time=later, status=pb.USAGE_STATUS_CANCELLED),
        usage.record(start_time=later, api_key_id=make_id()),
        usage.record(account_id=make_id()),
        usage.open(),
    )
    return usage


async def test_days_are_those_of_the_start_in_utc(filled: Usage) -> None:
    assert await filled.summarize(pb.SUMMARY_GROUP_DAY) == pb.SummarizeUsageResponse(
        rows=[row("2026-05-15", 1, 0, 16_000), row("2026-05-16", 2, 1, 16_000), row("2026-06-01", 2, 1, 32_000)],
        total=row("", 5, 2, 64_000),
    )


async def test_models_and_keys_have_their_sums(filled: Usage) -> None:
    assert await filled.summarize(pb.SUMMARY_GROUP_MODEL) == pb.SummarizeUsageResponse(
        rows=[row(EMBED, 1, 0, 16_000), row(FAST, 4, 2, 48_000)], total=row("", 5, 2, 64_000)
    )
    keys = await filled.summarize(pb.SUMMARY_GROUP_API_KEY)
    assert [(part.requests, part.errors, part.cost_nanos) for part in keys.rows] == [(4, 2, 48_000), (1, 0, 16_000)]
    assert keys.rows[0].group_value == filled.api_key_id
    assert keys.total == row("", 5, 2, 64_000)


async def test_groups_are_split_by_a_second_value(filled: Usage) -> None:
    assert await filled.summarize(pb.SUMMARY_GROUP_DAY, split=pb.SUMMARY_GROUP_MODEL) == pb.SummarizeUsageResponse(
        rows=[
            row("2026-05-15", 1, 0, 16_000, split=FAST),
            row("2026-05-16", 1, 0, 16_000, split=EMBED),
            row("2026-05-16", 1, 1, 0, split=FAST),
            row("2026-06-01", 2, 1, 32_000, split=FAST),
        ],
        total=row("", 5, 2, 64_000),
    )
    keys = await filled.summarize(pb.SUMMARY_GROUP_DAY, split=pb.SUMMARY_GROUP_API_KEY, from_day="2026-05-17")
    assert [(part.group_value, part.requests) for part in keys.rows] == [("2026-06-01", 1), ("2026-06-01", 1)]
    assert filled.api_key_id in {part.split_value for part in keys.rows}


@pytest.mark.parametrize(
    "arguments,requests",
    [
        ({"from_day": "2026-05-16"}, 4),
        ({"to_day": "2026-05-16"}, 3),
        ({"from_day": "2026-05-16", "to_day": "2026-05-16"}, 2),
        ({"from_day": "2026-05-17", "to_day": "2026-05-31"}, 0),
        ({"model_public_name": EMBED}, 1),
        ({"model_public_name": FAST, "to_day": "2026-05-16"}, 2),
        ({"api_key_id": make_id()}, 0),
    ],
    ids=map(str, range(7)),
)
async def test_a_range_sums_only_what_is_in_it(filled: Usage, arguments: dict[str, Any], requests: int) -> None:
    for group in (pb.SUMMARY_GROUP_DAY, pb.SUMMARY_GROUP_MODEL, pb.SUMMARY_GROUP_API_KEY):
        answer = await filled.summarize(group, **arguments)
        assert answer.total.requests == requests == sum(part.requests for part in answer.rows)


async def test_an_account_without_records_has_no_groups(usage: Usage) -> None:
    assert await usage.summarize(pb.SUMMARY_GROUP_DAY) == pb.SummarizeUsageResponse(total=pb.SummaryRow())


BAD = [
    ({"group": pb.SUMMARY_GROUP_UNSPECIFIED}, "group"),
    ({"group": 9}, "group"),
    ({"group": pb.SUMMARY_GROUP_ACCOUNT}, "group"),
    ({"split": pb.SUMMARY_GROUP_DAY}, "split"),
    ({"split": pb.SUMMARY_GROUP_ACCOUNT}, "split"),
    ({"from_day": "yesterday"}, "from_day"),
    ({"to_day": "20260515"}, "to_day"),
    ({"to_day": "2026-W20-5"}, "to_day"),
    ({"from_day": "2026-05-16", "to_day": "2026-05-15"}, "from_day"),
    ({"api_key_id": "mine"}, "api_key_id"),
    ({"model_public_name": "\0"}, "model_public_name"),
]


@pytest.mark.parametrize("arguments,field", BAD, ids=map(str, range(len(BAD))))
async def test_a_question_that_makes_no_sense_is_refused(usage: Usage, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await usage.summarize(**{"group": pb.SUMMARY_GROUP_DAY} | arguments)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER")
    assert caught.value.metadata == {"field": field}
