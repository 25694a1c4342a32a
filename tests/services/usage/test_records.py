"""Which reports make no sense, each refused with a reason for the log."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.records import NonsenseError, parse, to_message
from tests.services.usage.conftest import START, Usage, make_id

WORKER = make_id()
BASE: dict[str, Any] = {
    "request_id": make_id(),
    "worker_id": WORKER,
    "account_id": make_id(),
    "api_key_id": make_id(),
    "model_public_name": "privaterouter/fast",
    "endpoint": "chat.completions",
    "status": pb.USAGE_STATUS_SUCCESS,
    "price_version_id": make_id(),
    "start_time": to_proto(START),
}
NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"request_id": ""}, "request_id is not a UUID"),
    ({"request_id": "018f' OR 1=1 --"}, "request_id is not a UUID"),
    ({"request_id": "7f5b3e9e-6d0f-4a50-9d1c-3f4a51b0f7de"}, "request_id is not a UUIDv7"),
    ({"worker_id": ""}, "worker_id is not a UUID"),
    ({"worker_id": make_id()}, "worker_id is not the worker of the call"),
    ({"account_id": ""}, "account_id is not a UUID"),
    ({"api_key_id": ""}, "api_key_id is not a UUID"),
    ({"lease_id": "lease"}, "lease_id is not a UUID"),
    ({"price_version_id": "3"}, "price_version_id is not a UUID"),
    ({"model_public_name": ""}, "model_public_name is missing or no name"),
    ({"model_public_name": "a\0b"}, "model_public_name is missing or no name"),
    ({"model_public_name": "m" * 201}, "model_public_name is missing or no name"),
    ({"endpoint": ""}, "endpoint is missing or no name"),
    ({"status": pb.USAGE_STATUS_UNSPECIFIED}, "status 0 is none"),
    ({"status": 17}, "status 17 is none"),
    ({"input_tokens": -1}, "input_tokens is -1"),
    ({"output_tokens": -(2**63)}, f"output_tokens is {-(2**63)}"),
    ({"input_tokens": 10**12 + 1}, "input_tokens is 1000000000001"),
    ({"cached_input_tokens": 1}, "cached_input_tokens is more than input_tokens"),
    ({"cache_write_input_tokens": -1}, "cache_write_input_tokens is -1"),
    ({"cache_write_input_tokens": 1}, "cached_input_tokens and cache_write_input_tokens are more than input_tokens"),
    (
        {"input_tokens": 9, "cached_input_tokens": 5, "cache_write_input_tokens": 5},
        "cached_input_tokens and cache_write_input_tokens are more than input_tokens",
    ),
    ({"cache_write_input_nanos_per_mtok": -1}, "cache_write_input_nanos_per_mtok is -1"),
    ({"served_model_public_name": "a\0b"}, "served_model_public_name is missing or no name"),
    ({"served_model_public_name": "m" * 201}, "served_model_public_name is missing or no name"),
    ({"attempts": [pb.Attempt(http_status=-1)]}, "attempts.http_status is -1"),
    ({"attempts": [pb.Attempt(), pb.Attempt(http_status=1_000)]}, "attempts.http_status is 1000"),
    ({"attempts": [pb.Attempt(duration_ms=-1)]}, "attempts.duration_ms is -1"),
    ({"attempts": [pb.Attempt(duration_ms=-1), *[pb.Attempt()] * 30]}, "attempts.duration_ms is -1"),
    ({"output_tokens": 4, "reasoning_tokens": 5}, "reasoning_tokens is more than output_tokens"),
    ({"cost_nanos": -1}, "cost_nanos is -1"),
    ({"cost_nanos": 11, "held_nanos": 10}, "cost_nanos is more than held_nanos"),
    ({"cost_nanos": 2**63 - 1, "held_nanos": 2**63 - 1}, f"cost_nanos is {2**63 - 1}"),
    ({"held_nanos": 10**15 + 1}, f"held_nanos is {10**15 + 1}"),
    ({"uncharged_nanos": -1}, "uncharged_nanos is -1"),
    ({"input_nanos_per_mtok": -1}, "input_nanos_per_mtok is -1"),
    ({"cost_nanos": 1, "held_nanos": 1, "price_version_id": ""}, "a cost without a price version"),
    ({"cost_nanos": 1, "held_nanos": 1, "status": pb.USAGE_STATUS_ERROR}, "an error is never charged"),
    ({"latency_ms": -1}, "latency_ms is -1"),
    ({"first_token_ms": -1}, "first_token_ms is -1"),
    ({"http_status": 1_000}, "http_status is 1000"),
    ({"start_time": None}, "start_time is missing or absurd"),
    ({"start_time": {"seconds": 2**62}}, "start_time is missing or absurd"),
    ({"start_time": {"seconds": 1_800_000_000, "nanos": -5}}, "start_time is missing or absurd"),
]


def test_the_record_that_the_cases_vary_makes_sense() -> None:
    message = pb.UsageRecord(**BASE)
    assert to_message(parse(message, UUID(WORKER))) == message


@pytest.mark.parametrize("change,reason", NONSENSE, ids=[f"{n} {reason}" for n, (_, reason) in enumerate(NONSENSE)])
def test_nonsense_is_refused_with_its_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(NonsenseError) as caught:
        parse(pb.UsageRecord(**BASE | change), UUID(WORKER))
    assert str(caught.value) == reason


async def test_all_nonsense_in_one_batch_stores_nothing_and_names_each_reason(usage: Usage) -> None:
    records = [pb.UsageRecord(**BASE | {"worker_id": usage.worker_id} | change) for change, _ in NONSENSE]
    results = await usage.send(*records)
    assert {result.outcome for result in results} == {pb.RECORD_OUTCOME_REFUSED}
    assert [result.detail for result in results] == [reason for _, reason in NONSENSE]
    assert await usage.admin.fetchval("SELECT count(*) FROM usage.usage_records") == 0
    assert await usage.outbox() == {}


async def test_what_an_upstream_says_is_cut_rather_than_costing_us_the_record(usage: Usage) -> None:
    sent = usage.record(finish_reason="\0" + "x" * 10_000, error_code="\0", upstream_model="Modell-Ä\0")
    assert await usage.outcomes(sent) == ["TAKEN"]
    kept = await usage.get(sent.request_id)
    assert (kept.finish_reason, kept.error_code, kept.upstream_model) == ("x" * 200, "", "Modell-Ä")
    assert await usage.outcomes(sent) == ["KNOWN"]


async def test_a_record_keeps_its_attempts_and_the_model_that_answered(usage: Usage) -> None:
    attempts = [
        pb.Attempt(
            upstream_name="first", upstream_model="gemma4", error_code="upstream_unavailable", duration_ms=5_000
        ),
        pb.Attempt(upstream_name="second", upstream_model="qwen3", http_status=200, duration_ms=2**63 - 1),
    ]
    opened = usage.open(attempts=attempts[:1])
    sent = usage.record(
        request_id=opened.request_id,
        served_model_public_name="privaterouter/qwen-fast",
        attempts=attempts,
        cache_write_input_nanos_per_mtok=125_000_000,
        cost_nanos=16_500,
    )
    assert await usage.outcomes(opened) == ["TAKEN"]
    assert await usage.outcomes(sent) == ["TAKEN"]
    kept = await usage.get(sent.request_id)
    assert kept.record_time.seconds > 0
    sent.revision = 1
    sent.record_time.CopyFrom(kept.record_time)
    assert kept == sent
    assert list((await usage.list()).records) == [sent]
    assert await usage.outcomes(sent) == ["KNOWN"]


async def test_a_model_that_answered_itself_is_not_named_twice(usage: Usage) -> None:
    sent = usage.record(served_model_public_name="privaterouter/fast")
    assert await usage.outcomes(sent) == ["TAKEN"]
    assert (await usage.get(sent.request_id)).served_model_public_name == ""
    assert await usage.outcomes(sent) == ["KNOWN"]


async def test_of_many_attempts_the_last_twenty_are_kept_and_their_texts_are_cut(usage: Usage) -> None:
    many = [
        pb.Attempt(upstream_name=f"up-{n}", upstream_model="m" * 500, error_code="\0e" + "x" * 500) for n in range(50)
    ]
    sent = usage.record(attempts=many)
    assert await usage.outcomes(sent) == ["TAKEN"]
    assert list((await usage.get(sent.request_id)).attempts) == [
        pb.Attempt(upstream_name=f"up-{n}", upstream_model="m" * 200, error_code="e" + "x" * 199) for n in range(30, 50)
    ]
    assert await usage.outcomes(sent) == ["KNOWN"]


@pytest.mark.parametrize(
    "change",
    [
        "attempts = '{}'",
        "attempts = to_jsonb(array_fill(1, ARRAY[21]))",
        "cache_write_input_tokens = -1",
        "cache_write_input_tokens = input_tokens - cached_input_tokens + 1",
        "cache_write_input_nanos_per_mtok = -1",
    ],
)
async def test_the_database_itself_refuses_what_no_request_can_have(usage: Usage, change: str) -> None:
    await usage.send(usage.record())
    with pytest.raises(asyncpg.CheckViolationError):
        await usage.admin.execute(f"UPDATE usage.usage_records SET {change}")


async def test_an_error_keeps_what_it_would_have_cost(usage: Usage) -> None:
    sent = usage.record(status=pb.USAGE_STATUS_ERROR, cost_nanos=0, uncharged_nanos=16_000)
    assert await usage.outcomes(sent) == ["TAKEN"]
    assert (await usage.get(sent.request_id)).uncharged_nanos == 16_000
    assert await usage.outbox() == {}
