"""A request from hold to charge, and a worker from start to end."""

import asyncio
import time
from typing import Any

import pytest
from msgspec.structs import asdict

from edge.errors import EdgeError
from edge.money import files
from edge.money.holds import Hold
from edge.money.path import MoneyPath
from edge.money.records import Attempt, Record, Status
from kit import faults
from kit.faults import Injected
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2 import UsageRecord
from tests.edge.money.world import (
    CENT,
    World,
    end,
    fill_the_disk,
    free_the_disk,
    hold,
    lease_of,
    record,
    some_id,
    spend,
)
from tests.support.waiting import eventually


async def test_when_finish_returns_the_record_is_in_the_journal_and_the_rest_of_the_hold_is_free(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    made = record(account)
    path.open(held, made)
    lease = lease_of(path, account)
    ending = asyncio.create_task(end(path, held, made, 3 * CENT))
    await asyncio.sleep(0)
    assert lease.held == 10 * CENT  # not before it is written
    await ending
    assert (lease.held, lease.spent, lease.free) == (0, 3 * CENT, 17 * CENT)
    (row,) = path._journal.batch(10)
    assert UsageRecord.FromString(row.record) == made.to_proto()
    assert path._journal.leases() == {lease.id: 3 * CENT}
    assert path._journal.opens() == []


async def test_a_second_finish_and_a_release_after_it_do_nothing(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    made = record(account)
    path.open(held, made)
    await end(path, held, made, 3 * CENT)
    await end(path, held, made, 9 * CENT)
    path.release(held)
    lease = lease_of(path, account)
    assert (lease.held, lease.spent) == (0, 3 * CENT)
    assert len(path._journal.batch(10)) == 1


async def test_a_release_gives_all_back_once_and_leaves_no_record(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    path.release(held)
    path.release(held)
    lease = lease_of(path, account)
    assert (lease.held, lease.spent, lease.free) == (0, 0, 20 * CENT)
    assert path._journal.batch(10) == []


@pytest.mark.parametrize(
    "claimed, charged, uncharged", [(11, 10, 1), (10, 10, 0), (1 << 70, 10, (1 << 70) - 10), (-5, 0, 0)]
)
async def test_nothing_is_charged_beyond_the_hold_and_nothing_below_zero(
    world: World, claimed: int, charged: int, uncharged: int
) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10)
    made = record(account)
    path.open(held, made)
    await end(path, held, made, claimed)
    assert (made.cost_nanos, made.uncharged_nanos) == (charged, uncharged)
    assert lease_of(path, account).spent == charged
    (row,) = path._journal.batch(10)
    assert UsageRecord.FromString(row.record).cost_nanos == charged


async def test_a_request_without_a_hold_costs_nothing(world: World) -> None:
    path = world.worker()
    held = await hold(path, "a", 0)
    made = record("a")
    path.open(held, made)
    await end(path, held, made, 77)
    assert (made.cost_nanos, made.uncharged_nanos, made.lease_id) == (0, 77, "")


async def test_who_leaves_while_the_record_is_written_is_charged_all_the_same(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    made = record(account)
    path.open(held, made)
    ending = asyncio.create_task(end(path, held, made, 3 * CENT))
    await asyncio.sleep(0)
    ending.cancel()
    await path._journal.commit()
    assert lease_of(path, account).spent == 3 * CENT
    assert len(path._journal.batch(10)) == 1


async def test_how_running_requests_stand_is_journaled_and_then_reported_when_it_changes(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        held = await hold(path, account, 10 * CENT)
        made = record(account)
        path.open(held, made)
        await eventually(lambda: _is(made.request_id in world.usage.opens))
        made.input_tokens, made.output_tokens, made.cost_nanos = 20, 7, 11 * CENT
        await eventually(lambda: _is(world.usage.opens[made.request_id].output_tokens == 7))
        report = world.usage.opens[made.request_id]
        assert (report.status, report.cost_nanos) == (usage_pb2.USAGE_STATUS_OPEN, 10 * CENT)
        assert report.latency_ms > 0
        assert UsageRecord.FromString(path._journal.opens()[0]) == report
        reports = world.usage.times_sent(made.request_id)
        other = record(account)
        path.open(await hold(path, account, CENT), other)
        for tokens in (1, 2, 3):
            other.output_tokens = tokens
            await eventually(lambda: _is(_tokens(world, other) == tokens))  # noqa: B023
        assert world.usage.times_sent(made.request_id) == reports
        assert (made.status, made.cost_nanos) == (Status.OPEN, 11 * CENT)  # the handler's own is left alone
        await end(path, held, made, 4 * CENT)
        await eventually(lambda: _is(made.request_id in world.usage.finals))


@pytest.mark.parametrize("mode", ["raise", "drop"])
async def test_an_error_behind_the_final_record_does_not_reach_who_asked(world: World, mode: str) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    made = record(account)
    path.open(held, made)
    faults.enable(f"edge.finish.after_commit={mode}")
    try:
        await end(path, held, made, 3 * CENT)
    finally:
        faults.enable("")
    (row,) = path._journal.batch(10)
    assert UsageRecord.FromString(row.record) == made.to_proto()


async def test_what_fails_while_a_request_is_opened_leaves_nothing_of_it(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    faults.enable("edge.open.before_note=raise")
    try:
        with pytest.raises(Injected):
            path.open(held, record(account))
    finally:
        faults.enable("")
    path.release(held)
    assert await path._journal.commit()
    assert path._journal.opens() == []
    assert lease_of(path, account).held == 0


async def test_a_record_is_brought_up_to_date_for_each_report_and_never_after_its_end(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        made, other, said = record(account), record(account), 1

        def refresh() -> None:
            made.output_tokens = said

        path.open(await hold(path, account, CENT), other)
        held = await hold(path, account, 10 * CENT)
        path.open(held, made, refresh)
        await eventually(lambda: _is(_tokens(world, made) == 1))
        said = 2
        await eventually(lambda: _is(_tokens(world, made) == 2))
        made.output_tokens = 5
        await end(path, held, made, 4 * CENT)
        said, other.output_tokens = 3, 9
        await eventually(lambda: _is(_tokens(world, other) == 9))
        assert made.output_tokens == 5
        assert world.usage.finals[made.request_id].output_tokens == 5


async def test_a_young_request_is_not_reported(world: World) -> None:
    async with world.running() as path:
        held = await hold(path, "a", 0)
        young = Record(request_id=some_id(), account_id="a", api_key_id="a", start_time_ns=time.time_ns() + 60 * 10**9)
        old = record("a")
        path.open(held, young)
        path.open(await hold(path, "a", 0), old)
        await eventually(lambda: _is(old.request_id in world.usage.opens))
        assert young.request_id not in world.usage.opens
        assert len(path._journal.opens()) == 2


async def test_while_the_journal_cannot_be_written_new_requests_get_503_and_running_ones_end(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        held = await hold(path, account, 10 * CENT)
        made = record(account)
        path.open(held, made)
        lease = lease_of(path, account)
        world.usage.faults.away = True
        await path._journal.commit()
        fill_the_disk(path._journal)
        made.error_code = "x" * 100_000
        await end(path, held, made, 3 * CENT)
        assert not await path.ready()
        assert (lease.held, lease.spent) == (10 * CENT, 0)  # kept until it cannot be lost
        for attempt in (hold(path, account, 50 * CENT), _open(path, account)):
            with pytest.raises(EdgeError) as caught:
                await attempt
            assert caught.value.code == "service_unavailable"
        world.usage.faults.away = False
        await eventually(lambda: _is(lease.held == 0), what="the acknowledgement")
        assert world.usage.finals[made.request_id].cost_nanos == 3 * CENT
        assert lease.spent == 3 * CENT
        free_the_disk(path._journal)
        await eventually(path.ready)
        await spend(path, account, CENT, CENT)
    assert list(world.directory.iterdir()) == []


async def test_a_full_journal_refuses_new_requests(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker(journal_bytes=1)
    path._measure()
    with pytest.raises(EdgeError) as caught:
        await hold(path, account, CENT)
    assert caught.value.code == "service_unavailable"
    with pytest.raises(EdgeError):
        path.open(await hold(path, account, 0), record(account))


async def test_a_record_that_no_message_can_hold_is_kept_with_what_matters(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT)
    made = record(account)
    path.open(held, made)
    made.output_tokens = 1 << 80
    made.attempts = (Attempt("first", "m1", duration_ms=1 << 80),)
    await end(path, held, made, 3 * CENT)
    (row,) = path._journal.batch(10)
    kept = UsageRecord.FromString(row.record)
    assert (kept.request_id, kept.cost_nanos, kept.output_tokens) == (made.request_id, 3 * CENT, 0)
    assert kept.status == usage_pb2.USAGE_STATUS_SUCCESS


async def test_a_worker_that_ends_ships_all_gives_all_back_and_leaves_no_file(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running(ship_wait_s=30.0) as path:
        for _ in range(20):
            await spend(path, account, CENT, CENT // 2)
        assert files.path_of(world.directory, path.worker_id).exists()
    assert len(world.usage.finals) == 20
    assert world.billing.available(account) == 90 * CENT
    (lease,) = world.billing.leases.values()
    assert lease.spent == 10 * CENT
    assert list(world.directory.iterdir()) == []


async def test_a_worker_that_cannot_ship_ends_in_time_and_leaves_its_journal(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running(close_s=0.1) as path:
        world.usage.faults.away = True
        await spend(path, account, CENT, CENT // 2)
    assert files.path_of(world.directory, path.worker_id).exists()


async def test_a_worker_that_ends_takes_no_new_requests(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    await hold(path, account, CENT)
    await world.stop(path)
    with pytest.raises(EdgeError):
        await hold(path, account, CENT)
    with pytest.raises(EdgeError):
        path.open(await _free(path), record(account))


ATTEMPTS = (Attempt("first", "m1", 503, "upstream_failed", 12), Attempt("second", "m2", 200, duration_ms=3))


def test_every_field_of_a_record_is_one_of_the_contract_and_arrives_there() -> None:
    numbers = {name: number for number, name in enumerate(Record.__struct_fields__, 1)}
    kinds = Record.__annotations__
    examples: dict[Any, Any] = {bool: True, Status: Status.ERROR, tuple[Attempt, ...]: ATTEMPTS}
    values: dict[str, Any] = {
        name: {**examples, int: number, int | None: number, str: f"s{number}"}[kinds[name]]
        for name, number in numbers.items()
    }
    message = Record(**values).to_proto()
    assert [*message.attempts] == [usage_pb2.Attempt(**asdict(attempt)) for attempt in values.pop("attempts")]
    assert message.start_time.ToNanoseconds() == values.pop("start_time_ns")
    assert {name: getattr(message, name) for name in values} == values
    left_to_usage = {"record_time", "revision", "start_time", "attempts"}
    assert {field.name for field in usage_pb2.Attempt.DESCRIPTOR.fields} == set(Attempt.__struct_fields__)
    assert {field.name for field in UsageRecord.DESCRIPTOR.fields} == set(values) | left_to_usage


def test_statuses_have_the_numbers_of_the_contract() -> None:
    assert {f"USAGE_STATUS_{status.name}": status.value for status in Status} == {
        name: number for name, number in usage_pb2.UsageStatus.items() if number
    }


async def _free(path: MoneyPath) -> Hold:
    given = path.try_hold(account_id="a", api_key_id="a", full_nanos=0)
    assert given
    return given


async def _open(path: MoneyPath, account: str) -> None:
    path.open(await _free(path), record(account))


def _tokens(world: World, made: Record) -> int:
    report = world.usage.opens.get(made.request_id)
    return report.output_tokens if report else 0


async def _is(value: bool) -> bool:
    return value


async def test_free_credit_is_that_of_leases_in_use_of_the_account_or_of_one_key(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    assert path.free_nanos(account) == 0
    first, second = some_id(), some_id()
    held = await hold(path, account, 10 * CENT, key=first)
    await hold(path, account, 5 * CENT, key=second)
    path.release(held)
    free = {key: lease.free for key in (first, second) if (lease := path._book.pot(account, key).lease)}
    assert free[first] >= 10 * CENT
    assert path.free_nanos(account) == sum(free.values())
    assert [path.free_nanos(account, key) for key in (first, second, some_id())] == [free[first], free[second], 0]
    world.clock.now_s += path._pace.stale_s + 1
    assert path.free_nanos(account) == 0
