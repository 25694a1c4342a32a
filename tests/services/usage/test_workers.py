"""Lost workers: what they left open is ended as last reported, settled, and then they are named drained."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.workers import LostWorkers, Silence
from tests.services.usage.conftest import Usage, make_id
from tests.support.waiting import eventually

SEEN = datetime(2026, 5, 15, tzinfo=UTC)
QUICK_S = 0.2


def lose(usage: Usage, *, lost_after_s: float = QUICK_S, forgotten_after_s: float = 600.0) -> None:
    """Billing names the worker, and usage finds silence long soon."""
    usage.billing.expired = {usage.worker_id}
    usage.start(usage.make_relay(lost_after_s=lost_after_s, forgotten_after_s=forgotten_after_s))


async def drained(usage: Usage) -> None:
    async def named() -> bool:
        return usage.billing.drained() == {usage.worker_id}

    await eventually(named, what="the drained worker")


async def interrupted(usage: Usage, opened: pb.UsageRecord) -> None:
    """Makes an open report and has usage presume its end."""
    await usage.send(opened)
    lose(usage)
    await drained(usage)
    usage.billing.expired = set()


async def test_open_records_of_a_lost_worker_end_as_last_reported_and_are_settled(usage: Usage) -> None:
    first, second = usage.open(), usage.open(output_tokens=40, cost_nanos=22_000)
    await usage.send(first)
    await usage.send(first, second)
    lose(usage)
    await drained(usage)
    for opened in (first, second):
        kept = await usage.get(opened.request_id)
        assert (kept.status, kept.revision) == (pb.USAGE_STATUS_INTERRUPTED, 1)
        assert (kept.cost_nanos, kept.output_tokens) == (opened.cost_nanos, opened.output_tokens)
        assert usage.billing.charged(opened.request_id) == opened.cost_nanos
    assert await usage.settled()


async def test_a_lost_request_without_a_token_is_free(usage: Usage) -> None:
    opened = usage.open(output_tokens=0, reasoning_tokens=0, cost_nanos=10_000, uncharged_nanos=1)
    await interrupted(usage, opened)
    kept = await usage.get(opened.request_id)
    assert (kept.status, kept.cost_nanos, kept.uncharged_nanos) == (pb.USAGE_STATUS_INTERRUPTED, 0, 10_001)
    assert usage.billing.booked == {}


async def test_a_worker_is_drained_only_when_billing_has_its_charges(usage: Usage) -> None:
    opened = usage.open()
    await usage.send(opened)
    usage.billing.away = True
    lose(usage)

    async def refused_often() -> bool:
        return usage.billing.sent[opened.request_id, 1] > 5

    await eventually(refused_often, what="its charge at billing")
    assert all(not call.drained_worker_ids for call in usage.billing.calls)
    usage.billing.away = False
    await drained(usage)
    assert usage.billing.charged(opened.request_id) == 16_000


async def test_a_parked_charge_does_not_keep_its_worker_from_being_drained(usage: Usage) -> None:
    sent = usage.record()
    usage.billing.refusals[sent.request_id] = billing.CHARGE_OUTCOME_UNKNOWN_ACCOUNT
    await usage.send(sent)
    lose(usage)
    await drained(usage)


async def test_a_worker_that_usage_never_heard_of_is_drained(usage: Usage) -> None:
    lose(usage)
    await drained(usage)


async def test_a_drained_worker_is_named_until_billing_stops_naming_it(usage: Usage) -> None:
    lose(usage)
    await drained(usage)
    calls = len(usage.billing.calls)

    async def more_calls() -> bool:
        return len(usage.billing.calls) > calls + 5

    await eventually(more_calls, what="more calls")
    assert [call for call in usage.billing.calls[calls:] if not call.drained_worker_ids] == []
    usage.billing.expired = set()

    async def nobody_named() -> bool:
        return usage.billing.drained() == set()

    await eventually(nobody_named, what="nobody named")


async def test_a_worker_that_still_speaks_is_not_lost_whatever_billing_says(usage: Usage) -> None:
    opened = usage.open()
    await usage.send(opened)
    lose(usage, lost_after_s=2.5)
    for _ in range(60):
        await usage.send()
        await asyncio.sleep(0.05)
    assert (await usage.row(opened.request_id))["status"] == "open"
    assert all(not call.drained_worker_ids for call in usage.billing.calls)
    await drained(usage)


async def test_an_adopter_does_not_keep_a_dead_worker_alive(usage: Usage) -> None:
    opened = usage.open()
    await usage.send(opened)
    lose(usage, lost_after_s=0.4)

    async def ended() -> bool:
        await usage.send(usage.record(), alive=False)
        return bool((await usage.row(opened.request_id))["status"] == "interrupted")

    await eventually(ended, what="the end of the open record")


async def test_other_workers_are_left_alone(usage: Usage) -> None:
    other = make_id()
    theirs = usage.open(worker_id=other)
    await usage.send(theirs, worker_id=other)
    await interrupted(usage, usage.open())
    assert (await usage.row(theirs.request_id))["status"] == "open"


async def test_a_worker_without_leases_is_forgotten_after_a_longer_silence(usage: Usage) -> None:
    opened = usage.open()
    await usage.send(opened)
    usage.start(usage.make_relay(lost_after_s=0.1, forgotten_after_s=0.5))

    async def forgotten() -> bool:
        return not await usage.admin.fetch("SELECT FROM usage.workers")

    await eventually(forgotten, what="the forgotten worker")
    assert (await usage.get(opened.request_id)).status == pb.USAGE_STATUS_INTERRUPTED
    await eventually(usage.settled, what="its charge")
    assert usage.billing.charged(opened.request_id) == 16_000
    assert all(not call.drained_worker_ids for call in usage.billing.calls)
    assert await usage.outcomes(usage.record()) == ["TAKEN"]


async def test_a_silent_worker_in_whose_journal_records_wait_is_forgotten_after_a_day(usage: Usage) -> None:
    silent, waiting = make_id(), make_id()
    await usage.send(worker_id=silent)
    await usage.stub.RecordUsage(pb.RecordUsageRequest(worker_id=waiting, journal_rows=3, alive=True))
    usage.start(usage.make_relay(lost_after_s=0.1, forgotten_after_s=0.3))

    async def known() -> set[str]:
        return {str(row[0]) for row in await usage.admin.fetch("SELECT worker_id FROM usage.workers")}

    async def only_waiting() -> bool:
        return await known() == {waiting}

    async def nobody() -> bool:
        return not await known()

    await eventually(only_waiting, what="one worker forgotten")
    await usage.admin.execute("UPDATE usage.workers SET last_seen = last_seen - interval '1 day'")
    await eventually(nobody, what="both forgotten")


async def test_what_waits_in_a_journal_is_as_the_worker_or_who_adopts_it_said_last(usage: Usage) -> None:
    for alive, journal_rows, kept in ((True, 8_000, 8_000), (False, 3_000, 3_000), (True, 0, 0), (True, -1, 0)):
        request = pb.RecordUsageRequest(
            worker_id=usage.worker_id, records=[usage.record()], alive=alive, journal_rows=journal_rows
        )
        (result,) = (await usage.stub.RecordUsage(request)).results
        assert result.outcome == pb.RECORD_OUTCOME_TAKEN
        assert await usage.admin.fetchval("SELECT journal_rows FROM usage.workers") == kept


async def test_the_first_lost_worker_is_waited_for_although_it_was_silent_before_usage_started(usage: Usage) -> None:
    """A row from long ago: usage was away, so it could not hear."""
    opened = usage.open()
    await usage.send(opened)
    await usage.admin.execute("UPDATE usage.workers SET last_seen = last_seen - interval '1 day'")
    usage.billing.expired = {usage.worker_id}
    usage.start(usage.make_relay(lost_after_s=60))

    async def many_calls() -> bool:
        return len(usage.billing.calls) > 10

    await eventually(many_calls, what="many calls")
    assert (await usage.row(opened.request_id))["status"] == "open"


REVISIONS = [(22_000, 40), (1, 1), (0, 0), (16_000, 20)]


@pytest.mark.parametrize("cost_nanos,output_tokens", REVISIONS)
async def test_the_edges_own_final_replaces_a_presumed_one_once(
    usage: Usage, cost_nanos: int, output_tokens: int
) -> None:
    opened = usage.open(cost_nanos=cost_nanos, output_tokens=output_tokens, reasoning_tokens=0)
    await interrupted(usage, opened)
    presumed = await usage.get(opened.request_id)
    assert usage.billing.charged(opened.request_id) == cost_nanos
    final = usage.record(request_id=opened.request_id, lease_id=opened.lease_id)
    assert await usage.outcomes(final, alive=False) == ["TAKEN"]
    kept = await usage.get(opened.request_id)
    assert (kept.status, kept.cost_nanos, kept.revision) == (pb.USAGE_STATUS_SUCCESS, 16_000, 2)
    assert kept.record_time == presumed.record_time

    async def exact() -> bool:
        return await usage.settled() and usage.billing.charged(opened.request_id) == 16_000

    await eventually(exact, what="the exact charge")
    revised = usage.billing.booked.get((opened.request_id, 2))
    assert (revised.amount_nanos if revised else 0) == 16_000 - cost_nanos
    assert await usage.outcomes(final) == ["KNOWN"]
    assert await usage.outcomes(usage.record(request_id=opened.request_id, cost_nanos=5)) == ["REFUSED"]
    assert (await usage.get(opened.request_id)).cost_nanos == 16_000
    assert len([key for key in usage.billing.booked if key[0] == opened.request_id]) <= 2


async def test_a_revision_moves_the_roll_up_with_the_record(usage: Usage) -> None:
    opened = usage.open()
    await interrupted(usage, opened)
    final = usage.record(request_id=opened.request_id, model_public_name="privaterouter/qwen-fast", cost_nanos=0)
    await usage.send(final, alive=False)
    rows = (await usage.summarize(pb.SUMMARY_GROUP_MODEL)).rows
    assert [(row.group_value, row.requests, row.cost_nanos) for row in rows] == [("privaterouter/qwen-fast", 1, 0)]


async def test_an_adopters_interrupted_final_also_counts_as_the_edges_own(usage: Usage) -> None:
    opened = usage.open()
    await interrupted(usage, opened)
    same = usage.record(request_id=opened.request_id, lease_id=opened.lease_id, status=pb.USAGE_STATUS_INTERRUPTED)
    same.finish_reason = ""
    assert await usage.outcomes(same, alive=False) == ["TAKEN"]
    assert await usage.outcomes(same, alive=False) == ["KNOWN"]
    assert await usage.outcomes(usage.record(request_id=opened.request_id)) == ["REFUSED"]
    await eventually(usage.settled, what="an empty outbox")
    assert usage.billing.charged(opened.request_id) == 16_000


async def test_a_final_of_an_edge_never_changes_whatever_its_status(usage: Usage) -> None:
    first = usage.record(status=pb.USAGE_STATUS_INTERRUPTED)
    await usage.send(first)
    assert await usage.outcomes(usage.record(request_id=first.request_id)) == ["REFUSED"]


async def test_a_late_open_report_does_not_reopen_a_presumed_final(usage: Usage) -> None:
    opened = usage.open()
    await interrupted(usage, opened)
    assert await usage.outcomes(usage.open(request_id=opened.request_id, latency_ms=9_999)) == ["KNOWN"]
    assert (await usage.get(opened.request_id)).status == pb.USAGE_STATUS_INTERRUPTED


async def test_a_worker_that_speaks_while_it_is_being_given_up_is_spared(usage: Usage) -> None:
    """Its row is read, found silent, and changes before its records are ended."""
    opened = usage.open()
    await usage.send(opened)
    lost = LostWorkers(usage.database, lost_after_s=0.0, elapsed_s=lambda: 1.0)
    seen = await usage.admin.fetchval("SELECT last_seen FROM usage.workers")
    await usage.admin.execute("UPDATE usage.workers SET last_seen = last_seen + interval '1 s'")
    worker = (await usage.row(opened.request_id))["worker_id"]
    await lost._end_one(worker, seen)
    assert (await usage.row(opened.request_id))["status"] == "open"
    assert await lost.review({worker}) == set()
    assert (await usage.row(opened.request_id))["status"] == "interrupted"


def test_silence_is_measured_from_the_first_look_and_ends_with_a_word() -> None:
    silence, worker = Silence(), uuid4()
    assert silence.observe(100.0, {worker: SEEN}) == {worker: 0.0}
    assert silence.observe(103.0, {worker: SEEN}) == {worker: 3.0}
    assert silence.observe(104.0, {worker: SEEN + timedelta(seconds=1)}) == {worker: 0.0}
    assert silence.observe(106.0, {worker: SEEN + timedelta(seconds=1)}) == {worker: 2.0}


def test_time_in_which_usage_was_away_does_not_count_as_silence() -> None:
    silence, worker = Silence(), uuid4()
    silence.observe(0.0, {worker: SEEN})
    assert silence.observe(3_600.0, {worker: SEEN}) == {worker: 5.0}


def test_a_worker_that_was_not_asked_about_begins_anew() -> None:
    silence, worker = Silence(), uuid4()
    silence.observe(0.0, {worker: None})
    silence.observe(4.0, {})
    assert silence.observe(5.0, {worker: None}) == {worker: 0.0}
