"""Shipping: soon, in batches, one at a time, until acknowledged."""

import asyncio
import sqlite3
import time
from dataclasses import replace

import pytest

from edge.money.journal import Final, Journal
from edge.money.records import Status
from edge.money.shipper import Shipper
from privaterouter.usage.v1 import usage_pb2
from tests.edge.money.world import CENT, World, end, hold, lease_of, record, some_id, spend
from tests.support.waiting import eventually


def final(request_id: str = "") -> Final:
    made = record("a", cost=5, status=Status.SUCCESS, output=1)
    made.request_id = request_id or made.request_id
    return Final(made.request_id, "", 5, made.to_bytes())


async def test_a_final_record_reaches_usage_and_leaves_the_journal(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        made = await spend(path, account, 10 * CENT, 3 * CENT)
        await eventually(lambda: _is(path._journal.waiting == 0 and made.request_id in world.usage.finals))
        taken = world.usage.finals[made.request_id]
        assert taken == made.to_proto()
        assert (taken.cost_nanos, taken.worker_id) == (3 * CENT, path.worker_id)
        assert (taken.lease_id, taken.held_nanos) == (lease_of(path, account).id, 10 * CENT)
        assert {batch.alive for batch in world.usage.batches} == {True}


async def test_a_row_waits_for_company_for_a_moment_only(world: World) -> None:
    async with world.running(ship_wait_s=0.2, ship_rows=50, life_s=60.0) as path:
        await eventually(lambda: _is(len(world.usage.batches) == 1), what="the first sign of life")
        free = await hold(path, "a", 0)
        began = time.monotonic()
        await path.finish(free, record("a", status=Status.SUCCESS))
        await eventually(lambda: _is(len(world.usage.finals) == 1))
        assert time.monotonic() - began >= 0.2


async def test_many_rows_do_not_wait_for_company(world: World) -> None:
    async with world.running(ship_wait_s=600.0, ship_rows=50, life_s=600.0) as path:
        await eventually(lambda: _is(len(world.usage.batches) == 1), what="the first sign of life")
        for _ in range(50):
            await path.finish(await hold(path, "a", 0), record("a", status=Status.SUCCESS))
        await eventually(lambda: _is(len(world.usage.finals) == 50))
        # Here, because a journal that is closed may send once more what is not acknowledged yet.
        assert [len(batch.records) for batch in world.usage.batches] == [0, 50]


async def test_one_batch_is_in_flight_and_what_came_meanwhile_goes_into_the_next_up_to_the_most(world: World) -> None:
    gate = asyncio.Event()
    running = most = 0

    async def wait() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async with world.running(ship_rows=2, ship_most=7, life_s=60.0) as path:
        await eventually(lambda: _is(len(world.usage.batches) == 1))
        world.usage.faults.gate = wait
        for _ in range(20):
            await path.finish(await hold(path, "a", 0), record("a", status=Status.SUCCESS))
        await eventually(lambda: _is(len(world.usage.batches) == 2))
        gate.set()
        await eventually(lambda: _is(path._journal.waiting == 0 and len(world.usage.finals) == 20))
    assert most == 1
    # On a slow machine some are reported while they are open as well.
    records = [record for batch in world.usage.batches for record in batch.records]
    assert sum(record.status != usage_pb2.USAGE_STATUS_OPEN for record in records) == 20
    assert max(len(batch.records) for batch in world.usage.batches) == 7


async def test_a_record_is_sent_until_it_is_acknowledged_and_counted_once(world: World) -> None:
    account = world.account(100 * CENT)
    world.usage.faults.away = True
    async with world.running() as path:
        made = await spend(path, account, 10 * CENT, 3 * CENT)
        await eventually(lambda: _is(len(world.usage.batches) >= 3))
        world.usage.faults.away, world.usage.faults.lose_answers = False, 2
        await eventually(lambda: _is(path._journal.waiting == 0))
    assert list(world.usage.finals) == [made.request_id]
    assert world.usage.doubled == 2


async def test_a_refused_record_is_parked_and_not_in_the_way(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        bad = record(account)
        world.usage.refuse.add(bad.request_id)
        held = await hold(path, account, 10 * CENT)
        path.open(held, bad)
        await end(path, held, bad, 3 * CENT)
        good = await spend(path, account, 10 * CENT, 2 * CENT)
        await eventually(lambda: _is(path._journal.waiting == 0))
        lease = lease_of(path, account)
        assert (lease.spent, lease.unacked) == (2 * CENT, 0)
        assert list(world.usage.finals) == [good.request_id]
        await path._journal.commit()
        assert path._journal._store.parked() == 1
        assert world.usage.times_sent(bad.request_id) == 1


async def test_a_record_on_which_the_whole_call_fails_is_found_and_parked(world: World) -> None:
    journal = new_journal(world)
    bad = final()
    world.usage.choke_on.add(bad.request_id)
    good = [final() for _ in range(20)]
    for each in (*good[:13], bad, *good[13:]):
        journal.note_final(each)
    await journal.commit()
    await Shipper(world.usage_stub, journal, pace=world.pace, alive=True).drain()
    assert set(world.usage.finals) == {each.request_id for each in good}
    await journal.commit()
    assert journal._store.parked() == 1
    journal.close()


async def test_of_the_same_request_the_final_stands_behind_the_report(world: World) -> None:
    journal = new_journal(world)
    shipper = Shipper(world.usage_stub, journal, pace=world.pace, alive=True)
    ended = final()
    shipper.report([(ended.request_id, record("a").to_bytes()), (some_id(), record("a").to_bytes())])
    journal.note_final(ended)
    await journal.commit()
    await shipper.drain()
    (batch,) = world.usage.batches
    assert [each.status for each in batch.records] == [
        usage_pb2.USAGE_STATUS_OPEN,
        usage_pb2.USAGE_STATUS_OPEN,
        usage_pb2.USAGE_STATUS_SUCCESS,
    ]
    journal.close()


async def test_each_call_says_how_many_records_wait_beyond_it(world: World) -> None:
    journal = new_journal(world)
    for _ in range(5):
        journal.note_final(final())
    await journal.commit()
    world.usage.faults.lose_answers = 1
    await Shipper(world.usage_stub, journal, pace=replace(world.pace, ship_most=2), alive=True).drain()
    told = [(len(batch.records), batch.journal_rows) for batch in world.usage.batches]
    assert told == [(2, 3), (2, 3), (2, 1), (1, 0)]
    journal.close()


async def test_records_that_could_not_be_written_wait_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new_journal(world)
    journal.note_final(final())
    await journal.commit()
    with monkeypatch.context() as broken:
        broken.setattr(journal._store, "write", _full)
        journal.note_final(final())
        assert not await journal.commit()
        await Shipper(world.usage_stub, journal, pace=replace(world.pace, ship_most=1), alive=True).drain()
    assert [batch.journal_rows for batch in world.usage.batches] == [1, 0]
    journal.close()


async def test_a_silent_worker_gives_signs_of_life(world: World) -> None:
    async with world.running(life_s=0.05):
        await eventually(lambda: _is(len(world.usage.batches) >= 4))
    assert all((batch.alive, len(batch.records), batch.journal_rows) == (True, 0, 0) for batch in world.usage.batches)


def new_journal(world: World) -> Journal:
    return Journal.create(world.directory, "w", synchronous="off", limit_bytes=1 << 30, now_ns=time.time_ns)


def _full(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def _is(value: bool) -> bool:
    return value
