"""RecordUsage: each record exactly once, whatever is sent, how often and in which order."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import grpc
import pytest

from kit.clock import utc_now
from kit.errors import RemoteError
from kit.ids import uuid7
from kit.timestamps import from_proto, to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.services.usage.conftest import START, Usage, make_id


async def test_a_final_record_is_kept_as_it_was_sent(usage: Usage) -> None:
    sent = usage.record(error_code="upstream_failed", uncharged_nanos=7, estimated=True)
    assert await usage.outcomes(sent) == ["TAKEN"]
    kept = await usage.get(sent.request_id)
    assert abs(from_proto(kept.record_time) - utc_now()) < timedelta(seconds=30)
    assert kept.revision == 1
    kept.ClearField("record_time")
    kept.ClearField("revision")
    assert kept == sent


async def test_a_record_with_only_what_is_needed_is_kept_as_it_was_sent(usage: Usage) -> None:
    sent = pb.UsageRecord(
        request_id=make_id(),
        worker_id=usage.worker_id,
        account_id=usage.account_id,
        api_key_id=usage.api_key_id,
        model_public_name="privaterouter/fast",
        endpoint="embeddings",
        status=pb.USAGE_STATUS_CANCELLED,
        start_time=to_proto(START),
    )
    assert await usage.outcomes(sent) == ["TAKEN"]
    kept = await usage.get(sent.request_id)
    kept.ClearField("record_time")
    kept.ClearField("revision")
    assert kept == sent
    assert await usage.outbox() == {}


async def test_a_final_with_a_cost_puts_one_charge_into_the_outbox(usage: Usage) -> None:
    sent = usage.record()
    await usage.send(sent)
    row = await usage.admin.fetchrow("SELECT * FROM usage.outbox")
    assert row is not None
    assert (str(row["request_id"]), row["revision"], row["amount_nanos"]) == (sent.request_id, 1, 16_000)
    assert (str(row["account_id"]), str(row["api_key_id"])) == (sent.account_id, sent.api_key_id)
    assert (str(row["lease_id"]), str(row["worker_id"])) == (sent.lease_id, sent.worker_id)
    assert (row["model_public_name"], str(row["price_version_id"])) == (sent.model_public_name, sent.price_version_id)
    assert row["record_time"] == (await usage.row(sent.request_id))["record_time"]
    assert row["parked_reason"] is None


async def test_the_same_final_again_is_known_and_charged_once(usage: Usage) -> None:
    sent = usage.record()
    assert await usage.outcomes(sent) == ["TAKEN"]
    before = await usage.row(sent.request_id)
    assert await usage.outcomes(sent) == ["KNOWN"]
    assert await usage.outcomes(sent, alive=False) == ["KNOWN"]
    assert await usage.row(sent.request_id) == before
    assert await usage.outbox() == {(sent.request_id, 1): 16_000}


@pytest.mark.parametrize(
    "change",
    [
        {"cost_nanos": 16_001},
        {"output_tokens": 21},
        {"status": pb.USAGE_STATUS_CANCELLED},
        {"finish_reason": "length"},
        {"lease_id": ""},
        {"latency_ms": 1_201},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_final_for_a_known_request_is_refused(usage: Usage, change: dict[str, Any]) -> None:
    first = usage.record()
    other = usage.record(**{"request_id": first.request_id, "lease_id": first.lease_id} | change)
    other.price_version_id = first.price_version_id
    await usage.send(first)
    before = await usage.row(first.request_id)
    (result,) = await usage.send(other)
    assert result.outcome == pb.RECORD_OUTCOME_REFUSED
    assert result.detail == f"the known final says something else: {next(iter(change))}"
    assert await usage.row(first.request_id) == before
    assert await usage.outbox() == {(first.request_id, 1): 16_000}


@pytest.mark.parametrize("field", ["account_id", "api_key_id"])
@pytest.mark.parametrize("status", [pb.USAGE_STATUS_OPEN, pb.USAGE_STATUS_SUCCESS])
async def test_nobody_else_can_report_on_an_open_request(usage: Usage, field: str, status: Any) -> None:
    first = usage.open()
    await usage.send(first)
    before = await usage.row(first.request_id)
    other = usage.record(**{"request_id": first.request_id, "status": status, field: make_id()})
    assert await usage.outcomes(other) == ["REFUSED"]
    worker_id = make_id()
    other = usage.record(request_id=first.request_id, status=status, worker_id=worker_id)
    assert await usage.outcomes(other, worker_id=worker_id) == ["REFUSED"]
    assert await usage.row(first.request_id) == before
    assert await usage.outbox() == {}


async def test_an_open_report_is_stored_and_neither_shown_nor_charged_nor_summed(usage: Usage) -> None:
    sent = usage.open()
    assert await usage.outcomes(sent) == ["TAKEN"]
    assert (await usage.row(sent.request_id))["record_time"] is None
    assert (await usage.list()).total == 0
    with pytest.raises(RemoteError, match="USAGE_NOT_FOUND") as caught:
        await usage.get(sent.request_id)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert await usage.outbox() == {}
    assert await usage.daily() == {}


async def test_an_open_report_never_lowers_a_number(usage: Usage) -> None:
    late = usage.open(latency_ms=2_000, output_tokens=40, cost_nanos=22_000, upstream_name="second")
    early = usage.open(request_id=late.request_id, latency_ms=1_000, output_tokens=30, cost_nanos=19_000)
    early.upstream_name = "first"
    early.held_nanos = 60_000
    assert await usage.outcomes(late) == ["TAKEN"]
    assert await usage.outcomes(early) == ["TAKEN"]
    row = await usage.row(late.request_id)
    assert (row["output_tokens"], row["cost_nanos"], row["latency_ms"]) == (40, 22_000, 2_000)
    assert (row["held_nanos"], row["upstream_name"]) == (60_000, "second")
    assert await usage.outcomes(early, late) == ["KNOWN", "KNOWN"]
    assert await usage.row(late.request_id) == row


async def test_an_open_report_never_touches_a_final(usage: Usage) -> None:
    final = usage.record()
    await usage.send(final)
    before = await usage.row(final.request_id)
    late = usage.open(request_id=final.request_id, output_tokens=900, cost_nanos=50_000, latency_ms=99_999)
    assert await usage.outcomes(late) == ["KNOWN"]
    assert await usage.row(final.request_id) == before


async def test_a_final_replaces_the_open_report_even_with_lower_numbers(usage: Usage) -> None:
    opened = usage.open(output_tokens=40, cost_nanos=22_000)
    final = usage.record(request_id=opened.request_id, output_tokens=20, cost_nanos=16_000)
    await usage.send(opened)
    assert await usage.outcomes(final) == ["TAKEN"]
    assert (await usage.get(final.request_id)).output_tokens == 20
    assert await usage.outbox() == {(final.request_id, 1): 16_000}


async def test_every_order_of_arrival_ends_the_same(usage: Usage) -> None:
    for order in permutations(range(3)):
        first = usage.open(output_tokens=5, reasoning_tokens=0, latency_ms=500)
        second = usage.open(request_id=first.request_id, output_tokens=10, latency_ms=900)
        final = usage.record(request_id=first.request_id)
        reports = [first, second, final]
        for index in order:
            assert await usage.outcomes(reports[index], reports[index]) in (["KNOWN", "TAKEN"], ["KNOWN", "KNOWN"])
        kept = await usage.get(final.request_id)
        assert (kept.status, kept.output_tokens, kept.latency_ms) == (pb.USAGE_STATUS_SUCCESS, 20, 1_200), order
    assert list((await usage.outbox()).values()) == [16_000] * 6


async def test_of_the_same_request_in_one_batch_the_later_final_counts(usage: Usage) -> None:
    first = usage.record(cost_nanos=1)
    opened = usage.open(request_id=first.request_id)
    final = usage.record(request_id=first.request_id)
    late = usage.open(request_id=first.request_id, output_tokens=50)
    results = await usage.send(opened, first, final, late, final)
    assert [pb.RecordOutcome.Name(result.outcome)[15:] for result in results] == [
        "KNOWN", "REFUSED", "KNOWN", "KNOWN", "TAKEN",
    ]  # fmt: skip
    assert results[1].detail == "a later final of the same request is in the same batch"
    assert await usage.outbox() == {(final.request_id, 1): 16_000}
    assert (await usage.list()).total == 1


async def test_a_refused_record_does_not_hold_up_the_others(usage: Usage) -> None:
    good, other = usage.record(), usage.record()
    bad = [usage.record(cost_nanos=-1), usage.record(request_id="x"), pb.UsageRecord()]
    assert await usage.outcomes(bad[0], good, bad[1], bad[2], other) == [
        "REFUSED", "TAKEN", "REFUSED", "REFUSED", "TAKEN",
    ]  # fmt: skip
    assert set(await usage.outbox()) == {(good.request_id, 1), (other.request_id, 1)}


async def test_concurrent_calls_with_the_same_records_take_each_once(usage: Usage) -> None:
    records = [usage.record() for _ in range(100)]
    answers = await asyncio.gather(*(usage.outcomes(*records) for _ in range(6)))
    for outcomes in zip(*answers, strict=True):
        assert sorted(outcomes) == ["KNOWN"] * 5 + ["TAKEN"]
    assert len(await usage.outbox()) == 100
    assert (await usage.list()).total == 100


async def test_concurrent_calls_of_many_workers_on_one_account_add_up(usage: Usage) -> None:
    workers = [make_id() for _ in range(8)]
    batches = [(worker, [usage.record(worker_id=worker) for _ in range(25)]) for worker in workers for _ in range(4)]
    answers = await asyncio.gather(*(usage.outcomes(*records, worker_id=worker) for worker, records in batches))
    assert answers == [["TAKEN"] * 25] * 32
    assert (await usage.list()).total == 800
    summary = await usage.summarize(pb.SUMMARY_GROUP_DAY)
    assert (summary.total.requests, summary.total.cost_nanos) == (800, 800 * 16_000)


async def test_a_full_batch_is_taken_and_a_larger_one_is_refused_whole(usage: Usage) -> None:
    records = [usage.record() for _ in range(5_000)]
    assert await usage.outcomes(*records) == ["TAKEN"] * 5_000
    with pytest.raises(RemoteError, match="more than 5000 records") as caught:
        await usage.send(*[usage.record() for _ in range(5_001)])
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (await usage.list()).total == 5_000


async def test_the_greatest_amounts_that_make_sense_are_exact(usage: Usage) -> None:
    most = {"cost_nanos": 10**15, "held_nanos": 10**15, "input_tokens": 10**12, "output_tokens": 10**12}
    await usage.send(*[usage.record(**most, uncharged_nanos=2**63 - 1) for _ in range(1_000)])
    summary = await usage.summarize(pb.SUMMARY_GROUP_DAY)
    assert (summary.total.cost_nanos, summary.total.input_tokens) == (10**18, 10**15)


@pytest.mark.parametrize("month", [1, 12])
async def test_an_id_of_a_month_without_a_partition_is_taken_once_too(usage: Usage, month: int) -> None:
    """The default partition: clocks may be wrong by years."""
    moment_ns = int(datetime(1999 if month == 1 else 2099, month, 1, tzinfo=UTC).timestamp() * 1e9)
    sent = usage.record(request_id=str(uuid7(moment_ns, lambda n: b"\7" * n)))
    assert await usage.outcomes(sent) == ["TAKEN"]
    assert await usage.outcomes(sent) == ["KNOWN"]
    assert await usage.admin.fetchval("SELECT count(*) FROM usage.usage_records_default") == 1
    assert (await usage.get(sent.request_id)).cost_nanos == 16_000


async def test_an_id_meets_the_same_index_whatever_start_time_is_told(usage: Usage) -> None:
    first = usage.record()
    moved = usage.record(request_id=first.request_id, start_time=to_proto(START + timedelta(days=400)))
    await usage.send(first)
    assert await usage.outcomes(moved) == ["REFUSED"]
    assert (await usage.list()).total == 1


@pytest.mark.parametrize("worker_id", ["", "not-an-id"])
async def test_a_call_without_a_worker_is_refused(usage: Usage, worker_id: str) -> None:
    with pytest.raises(RemoteError, match="worker_id") as caught:
        await usage.stub.RecordUsage(pb.RecordUsageRequest(worker_id=worker_id, records=[usage.record()]))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_without_records_is_a_sign_of_life(usage: Usage) -> None:
    assert await usage.send() == []
    first = await usage.admin.fetchval("SELECT last_seen FROM usage.workers")
    assert await usage.send() == []
    assert await usage.admin.fetchval("SELECT last_seen FROM usage.workers") > first


async def test_shipping_a_dead_workers_journal_is_no_sign_of_life(usage: Usage) -> None:
    await usage.send(usage.record())
    before = await usage.admin.fetchval("SELECT last_seen FROM usage.workers")
    assert await usage.outcomes(usage.record(), alive=False) == ["TAKEN"]
    assert await usage.admin.fetchval("SELECT last_seen FROM usage.workers") == before


async def test_nothing_is_acknowledged_that_is_not_committed(usage: Usage) -> None:
    """The roll-ups come last in the transaction: when they fail, record and charge must be gone too."""
    await usage.admin.execute("ALTER TABLE usage.usage_daily ADD CONSTRAINT broken CHECK (requests > 1000)")
    sent = usage.record()
    with pytest.raises(RemoteError) as caught:
        await usage.send(sent)
    assert caught.value.code is grpc.StatusCode.INTERNAL
    assert await usage.admin.fetchval("SELECT count(*) FROM usage.usage_records") == 0
    assert await usage.outbox() == {}
    await usage.admin.execute("ALTER TABLE usage.usage_daily DROP CONSTRAINT broken")
    assert await usage.outcomes(sent) == ["TAKEN"]
