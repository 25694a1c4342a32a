"""The relay: every charge reaches billing and is booked once, whatever fails in between."""

import asyncio
from functools import partial

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kit.errors import RemoteError
from kit.timestamps import from_proto
from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.services.usage.conftest import START, Usage
from tests.support.waiting import eventually


async def all_settled(usage: Usage) -> None:
    await eventually(usage.settled, what="an empty outbox")


async def test_a_charge_tells_billing_all_it_needs(usage: Usage) -> None:
    usage.start()
    sent = usage.record()
    await usage.send(sent)
    await all_settled(usage)
    charge = usage.billing.booked[sent.request_id, 1]
    kept = await usage.get(sent.request_id)
    assert charge == billing.Charge(
        request_id=sent.request_id,
        revision=1,
        account_id=sent.account_id,
        api_key_id=sent.api_key_id,
        lease_id=sent.lease_id,
        amount_nanos=16_000,
        model_public_name="privaterouter/fast",
        price_version_id=sent.price_version_id,
        record_time=kept.record_time,
    )
    assert from_proto(kept.record_time) > START


async def test_the_commit_wakes_the_relay(usage: Usage) -> None:
    """By itself the fixture's relay looks once a minute only."""
    usage.start()
    await eventually(lambda: _calls(usage, 1), what="the first call")
    await usage.send(usage.record())
    await all_settled(usage)


async def test_what_was_committed_elsewhere_is_found_by_polling(usage: Usage) -> None:
    usage.start(usage.make_relay())
    await eventually(lambda: _calls(usage, 1), what="the first call")
    await usage.send(usage.record())
    await all_settled(usage)


async def test_free_requests_make_no_charge(usage: Usage) -> None:
    usage.start()
    free, paid = usage.record(cost_nanos=0), usage.record()
    await usage.send(free, paid)
    await all_settled(usage)
    assert set(usage.billing.booked) == {(paid.request_id, 1)}


async def test_billing_hears_from_usage_when_there_is_nothing_to_charge(usage: Usage) -> None:
    usage.start(usage.make_relay(interval_s=0.02))
    await eventually(lambda: _calls(usage, 5), what="empty calls")
    assert all(not call.charges for call in usage.billing.calls)


async def test_many_charges_go_in_batches_of_a_thousand_in_order(usage: Usage) -> None:
    records = [usage.record() for _ in range(2_500)]
    for start in range(0, 2_500, 500):
        await usage.send(*records[start : start + 500])
    usage.start()
    await all_settled(usage)
    assert [len(call.charges) for call in usage.billing.calls if call.charges] == [1_000, 1_000, 500]
    ids = [charge.request_id for call in usage.billing.calls for charge in call.charges]
    assert ids == [record.request_id for record in records]


async def test_nothing_is_lost_while_billing_is_away_and_usage_keeps_taking(usage: Usage) -> None:
    usage.start()
    usage.billing.away = True
    records = [usage.record() for _ in range(30)]
    for record in records:
        assert await usage.outcomes(record) == ["TAKEN"]
    assert len(await usage.outbox()) == 30
    usage.billing.away = False
    await all_settled(usage)
    assert {key[0] for key in usage.billing.booked} == {record.request_id for record in records}


async def test_a_lost_answer_is_asked_for_again_and_booked_once(usage: Usage) -> None:
    usage.billing.drops = 3
    usage.start()
    sent = usage.record()
    await usage.send(sent)
    await all_settled(usage)
    assert usage.billing.sent[sent.request_id, 1] == 4
    assert usage.billing.charged(sent.request_id) == 16_000


async def test_a_slow_billing_is_given_up_and_asked_again(usage: Usage) -> None:
    usage.billing.hold.clear()
    usage.start(usage.make_relay(timeout_s=0.1))
    sent = usage.record()
    await usage.send(sent)
    await eventually(lambda: _sent(usage, sent.request_id, 2), what="a second try")
    usage.billing.hold.set()
    await all_settled(usage)
    assert usage.billing.charged(sent.request_id) == 16_000


async def test_a_crash_between_booking_and_acknowledging_books_once(usage: Usage) -> None:
    usage.billing.hold.clear()
    first = usage.start()
    sent = [usage.record() for _ in range(3)]
    await usage.send(*sent)
    await eventually(lambda: _sent(usage, sent[0].request_id, 1), what="the charge at billing")
    await usage.stop(first)
    usage.billing.hold.set()
    assert len(await usage.outbox()) == 3
    usage.start(usage.make_relay())
    await all_settled(usage)
    assert [usage.billing.charged(record.request_id) for record in sent] == [16_000] * 3
    assert all(usage.billing.sent[record.request_id, 1] == 2 for record in sent)


REFUSALS = [
    (billing.CHARGE_OUTCOME_UNKNOWN_ACCOUNT, "UNKNOWN_ACCOUNT"),
    (billing.CHARGE_OUTCOME_CONFLICT, "CONFLICT"),
    (billing.CHARGE_OUTCOME_INVALID, "INVALID"),
    (billing.CHARGE_OUTCOME_UNSPECIFIED, "UNSPECIFIED"),
]


@pytest.mark.parametrize("outcome,reason", REFUSALS)
async def test_a_refused_charge_is_parked_and_alarmed_and_the_others_go_on(
    usage: Usage, outcome: billing.ChargeOutcome.ValueType, reason: str
) -> None:
    before = _refusals(reason)
    bad, good = usage.record(), usage.record()
    usage.billing.refusals[bad.request_id] = outcome
    await usage.send(bad, good)
    with capture_logs() as logs:
        usage.start(usage.make_relay())
        await eventually(lambda: _parked(usage, bad.request_id, reason), what="the parked charge")
        later = usage.record()
        await usage.send(later)
        await eventually(lambda: _booked(usage, later.request_id), what="the later charge")
    assert set(usage.billing.booked) == {(good.request_id, 1), (later.request_id, 1)}
    assert usage.billing.sent[bad.request_id, 1] == 1
    assert await usage.outbox() == {(bad.request_id, 1): 16_000}
    assert _refusals(reason) == before + 1
    (entry,) = [entry for entry in logs if entry["event"] == "charge_refused"]
    assert (entry["log_level"], entry["request_id"], entry["reason"]) == ("error", bad.request_id, reason)
    await eventually(lambda: _gauge("usage_outbox_parked", 1), what="the gauge of parked charges")


async def test_an_answer_with_a_result_too_few_settles_nothing(usage: Usage) -> None:
    usage.billing.short_answers = 2
    sent = [usage.record(), usage.record()]
    await usage.send(*sent)
    usage.start()
    await all_settled(usage)
    assert [usage.billing.sent[record.request_id, 1] for record in sent] == [3, 3]
    assert [usage.billing.charged(record.request_id) for record in sent] == [16_000] * 2


async def test_of_two_relays_one_sends_until_it_dies_and_then_the_other(usage: Usage) -> None:
    first = usage.start()
    await eventually(lambda: _calls(usage, 1), what="the first relay")
    usage.start(usage.make_relay())
    records = [usage.record() for _ in range(50)]
    for record in records[:25]:
        await usage.send(record)
    await all_settled(usage)
    assert set(usage.billing.sent.values()) == {1}
    await usage.stop(first)
    await usage.send(*records[25:])
    await all_settled(usage)
    assert len(usage.billing.booked) == 50
    assert set(usage.billing.sent.values()) == {1}


async def test_the_relay_goes_on_after_its_database_session_is_cut(usage: Usage) -> None:
    usage.start(usage.make_relay())
    await eventually(lambda: _calls(usage, 1), what="the first call")
    for _ in range(3):
        await usage.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'privaterouter_usage'"
        )
        await eventually(partial(_acknowledged, usage, usage.record()), what="the record")
        await all_settled(usage)
    assert len(usage.billing.booked) == 3


async def test_the_age_of_the_oldest_charge_is_a_metric(usage: Usage) -> None:
    usage.billing.away = True
    await usage.send(usage.record())
    await usage.admin.execute("UPDATE usage.outbox SET create_time = create_time - interval '90 s'")
    usage.start(usage.make_relay())
    await eventually(lambda: _gauge("usage_outbox_oldest_seconds", 90), what="the age")
    usage.billing.away = False
    await all_settled(usage)
    await eventually(lambda: _gauge("usage_outbox_oldest_seconds", 0), what="no age")


async def test_records_are_taken_while_a_call_to_billing_hangs(usage: Usage) -> None:
    """No transaction is held across the call."""
    usage.billing.hold.clear()
    usage.start()
    await usage.send(usage.record())
    await eventually(lambda: _sent_any(usage), what="the hanging call")
    async with asyncio.timeout(15):
        assert await usage.outcomes(*[usage.record() for _ in range(10)]) == ["TAKEN"] * 10
    idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in trans%'"
    assert await usage.admin.fetchval(idle) == 0
    usage.billing.hold.set()
    await all_settled(usage)


async def _calls(usage: Usage, least: int) -> bool:
    return len(usage.billing.calls) >= least


async def _sent(usage: Usage, request_id: str, times: int) -> bool:
    return usage.billing.sent[request_id, 1] >= times


async def _sent_any(usage: Usage) -> bool:
    return bool(usage.billing.sent)


async def _booked(usage: Usage, request_id: str) -> bool:
    return (request_id, 1) in usage.billing.booked


async def _parked(usage: Usage, request_id: str, reason: str) -> bool:
    query = "SELECT parked_reason FROM usage.outbox WHERE request_id = $1::text::uuid"
    parked: str | None = await usage.admin.fetchval(query, request_id)
    return parked == reason


async def _gauge(name: str, value: float) -> bool:
    sample = REGISTRY.get_sample_value(name)
    return sample is not None and value <= sample < value + 30


async def _acknowledged(usage: Usage, record: pb.UsageRecord) -> bool:
    """Sends it again until it is, as an edge does."""
    try:
        return await usage.outcomes(record) in (["TAKEN"], ["KNOWN"])
    except RemoteError:
        return False


def _refusals(reason: str) -> float:
    return REGISTRY.get_sample_value("usage_charges_refused_total", {"reason": reason}) or 0.0
