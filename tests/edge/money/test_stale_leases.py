"""Leases that billing does not answer for, or has given up: what is served from them, and what replaces them."""

import asyncio

import pytest

from edge.errors import EdgeError
from edge.money.holds import Hold
from privaterouter.billing.v1 import billing_pb2
from tests.edge.money.world import CENT, World, end, hold, lease_of, record
from tests.support.fake_money import FakeLease


async def code_of(asking: asyncio.Task[Hold]) -> str:
    with pytest.raises(EdgeError) as caught:
        await asking
    return caught.value.code


async def test_a_silent_billing_is_a_503_and_its_free_credit_serves_on_for_60_s(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, CENT))
    world.billing.faults.away = True
    world.clock.now_s += 60.0
    assert (await hold(path, account, CENT)).nanos == CENT
    asking = asyncio.create_task(hold(path, account, 50 * CENT))
    assert await code_of(asking) == "service_unavailable"
    world.clock.now_s += 0.1
    assert path.try_hold(account_id=account, api_key_id=account, full_nanos=1) is None
    assert await code_of(asyncio.create_task(hold(path, account, 1))) == "service_unavailable"


async def test_a_lease_that_went_stale_is_renewed_before_it_is_used_again(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, CENT))
    lease = lease_of(path, account)
    world.clock.now_s += 61.0
    assert (await hold(path, account, CENT)).lease is lease
    assert len(world.billing.of(billing_pb2.RenewLeasesRequest)) == 1
    assert lease.answered_s == world.clock.now_s


async def test_running_requests_on_a_stale_lease_go_on(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker(close_s=0.5)  # billing stays away
    running = await hold(path, account, CENT)
    made = record(account)
    path.open(running, made)
    world.billing.faults.away = True
    world.clock.now_s += 3_600.0
    await end(path, running, made, CENT // 2)
    assert lease_of(path, account).spent == CENT // 2


async def test_a_lease_that_is_gone_is_replaced_by_a_new_one(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    first = await hold(path, account, CENT)
    assert first.lease
    world.billing.leases[first.lease.id].gone = True
    second = await hold(path, account, 20 * CENT)
    assert second.lease is not first.lease
    assert (first.lease.ended, second.nanos) == (True, 20 * CENT)


async def test_a_billing_that_calls_every_new_lease_gone_is_not_asked_for_ever(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()

    async def spoil() -> None:
        for pot in path._book.all_pots():
            if pot.lease:
                world.billing.leases.setdefault(pot.lease.id, _gone(path.worker_id, account))

    world.billing.faults.gate = spoil
    assert await code_of(asyncio.create_task(hold(path, account, CENT))) == "service_unavailable"
    assert len(world.billing.asked()) == 3


async def test_a_grant_whose_answer_was_lost_is_handed_over_and_not_given_twice(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    world.billing.faults.lose_answers = 1
    assert await code_of(asyncio.create_task(hold(path, account, 10 * CENT))) == "service_unavailable"
    ((lease_id, granted),) = world.billing.leases.items()
    assert granted.granted == 20 * CENT
    held = await hold(path, account, 10 * CENT)
    assert held.lease
    assert held.lease.id == lease_id
    assert (held.lease.granted, world.billing.leases[lease_id].granted) == (20 * CENT, 20 * CENT)


async def test_a_lease_whose_first_answer_was_lost_counts_its_60_s_from_the_first_call(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    world.billing.faults.lose_answers = 1
    with pytest.raises(EdgeError):
        await hold(path, account, CENT)
    began_s = world.clock.now_s
    world.clock.now_s += 30.0
    held = await hold(path, account, CENT)
    assert held.lease
    assert held.lease.answered_s == began_s


def _gone(worker_id: str, account_id: str) -> FakeLease:
    return FakeLease(worker_id, account_id, account_id, gone=True)
