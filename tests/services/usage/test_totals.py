"""SummarizeAllUsage: sums over all accounts."""

import os
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from kit.errors import RemoteError
from kit.ids import uuid7
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.services.usage.conftest import Usage, make_id
from tests.services.usage.test_summaries import EMBED, FAST, row

DAYS = [datetime(2026, 5, 14 + number, 12, tzinfo=UTC) for number in range(3)]


@pytest.fixture
async def filled(usage: Usage) -> Usage:
    """Three days of two accounts; on the last one, the other account's records: one failed, one was served by EMBED."""
    first, second, third = map(to_proto, DAYS)
    await usage.send(usage.record(start_time=first), usage.record(start_time=second), usage.open(start_time=second))
    other = {"account_id": make_id(), "start_time": third}
    await usage.send(
        usage.record(**other, status=pb.USAGE_STATUS_ERROR, cost_nanos=0),
        usage.record(**other, served_model_public_name=EMBED, cost_nanos=40_000),
    )
    return usage


async def test_days_are_of_all_accounts(filled: Usage) -> None:
    assert await filled.summarize_all(pb.SUMMARY_GROUP_DAY, limit=1) == pb.SummarizeAllUsageResponse(
        rows=[row("2026-05-14", 1, 0, 16_000), row("2026-05-15", 1, 0, 16_000), row("2026-05-16", 2, 1, 40_000)],
        total=row("", 4, 1, 72_000),
        groups=3,
    )
    two = await filled.summarize_all(pb.SUMMARY_GROUP_DAY, from_day="2026-05-15", to_day="2026-05-15")
    assert two == pb.SummarizeAllUsageResponse(
        rows=[row("2026-05-15", 1, 0, 16_000)], total=row("", 1, 0, 16_000), groups=1
    )


async def test_a_request_is_that_of_the_model_that_answered(filled: Usage) -> None:
    assert await filled.summarize_all(pb.SUMMARY_GROUP_MODEL) == pb.SummarizeAllUsageResponse(
        rows=[row(EMBED, 1, 0, 40_000), row(FAST, 3, 1, 32_000)], total=row("", 4, 1, 72_000), groups=2
    )
    assert await filled.summarize_all(pb.SUMMARY_GROUP_MODEL, limit=1) == pb.SummarizeAllUsageResponse(
        rows=[row(EMBED, 1, 0, 40_000)], total=row("", 4, 1, 72_000), groups=2
    )


async def test_what_is_never_charged_can_be_left_out(filled: Usage) -> None:
    found = await filled.summarize_all(pb.SUMMARY_GROUP_MODEL, model_public_name=FAST, chargeable_only=True)
    assert found == pb.SummarizeAllUsageResponse(rows=[row(FAST, 2, 0, 32_000)], total=row("", 2, 0, 32_000), groups=1)


async def test_the_accounts_that_paid_most_come_first(filled: Usage) -> None:
    found = await filled.summarize_all(pb.SUMMARY_GROUP_ACCOUNT)
    assert [(part.requests, part.errors, part.cost_nanos) for part in found.rows] == [(2, 1, 40_000), (2, 0, 32_000)]
    assert found.rows[1].group_value == filled.account_id
    first = await filled.summarize_all(pb.SUMMARY_GROUP_ACCOUNT, limit=1)
    assert first == pb.SummarizeAllUsageResponse(rows=found.rows[:1], total=row("", 4, 1, 72_000), groups=2)


async def test_there_may_be_nothing_to_sum(usage: Usage) -> None:
    for group in (pb.SUMMARY_GROUP_DAY, pb.SUMMARY_GROUP_MODEL, pb.SUMMARY_GROUP_ACCOUNT):
        assert await usage.summarize_all(group) == pb.SummarizeAllUsageResponse(total=pb.SummaryRow())


BAD = [
    ({"group": pb.SUMMARY_GROUP_UNSPECIFIED}, "group"),
    ({"group": pb.SUMMARY_GROUP_API_KEY}, "group"),
    ({"from_day": "2026-05-16", "to_day": "2026-05-15"}, "from_day"),
    ({"group": pb.SUMMARY_GROUP_ACCOUNT, "model_public_name": FAST}, "model_public_name"),
    ({"group": pb.SUMMARY_GROUP_ACCOUNT, "chargeable_only": True}, "chargeable_only"),
]


@pytest.mark.parametrize("arguments,field", BAD, ids=map(str, range(len(BAD))))
async def test_a_question_that_makes_no_sense_is_refused(usage: Usage, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await usage.summarize_all(**{"group": pb.SUMMARY_GROUP_DAY} | arguments)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER")
    assert caught.value.metadata == {"field": field}


async def test_days_are_summed_up_from_records_that_the_previous_release_took(usage: Usage) -> None:
    ids = [str(uuid7(int(day.timestamp()) * 1_000_000_000, os.urandom)) for day in DAYS]
    records = [
        usage.record(request_id=id_, start_time=to_proto(day), served_model_public_name=model)
        for id_, day, model in zip(ids, DAYS, ("", EMBED, ""), strict=True)
    ]
    await usage.send(*records)
    # As the previous release leaves it.
    await usage.admin.execute(
        "UPDATE usage.usage_daily SET cached_input_tokens = 0, cache_write_input_tokens = 0, reasoning_tokens = 0"
    )
    await usage.admin.execute("DELETE FROM usage.model_daily WHERE day < '2026-05-16'")
    assert await usage.daily() != await usage.recounted()
    for day in DAYS:
        await usage.admin.execute("SELECT usage.sum_up_day($1)", day.date())
    assert await usage.daily() == await usage.recounted()


async def test_the_previous_release_goes_on_to_add(usage: Usage) -> None:
    """Its statement names no columns and knows the first nine."""
    await usage.admin.execute(
        """
        INSERT INTO usage.usage_daily AS known SELECT * FROM unnest(
            $1::uuid[], $2::date[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[])
        ON CONFLICT (account_id, day, model_public_name, api_key_id) DO UPDATE
        SET requests = known.requests + EXCLUDED.requests
        """,
        *([value] for value in (make_id(), DAYS[0].date(), FAST, make_id(), 1, 0, 100, 20, 16_000)),
    )
    found = await usage.summarize_all(pb.SUMMARY_GROUP_ACCOUNT)
    assert (found.groups, found.rows[0].input_tokens, found.rows[0].reasoning_tokens) == (1, 100, 0)
    await usage.admin.execute("TRUNCATE usage.usage_daily")
