"""What billing is told of leases: renewals, free credit given back, closings."""

import pytest

from edge.errors import EdgeError
from privaterouter.billing.v1 import billing_pb2
from tests.edge.money.world import CENT, World, end, hold, lease_of, record, spend
from tests.support.waiting import eventually


def renewed(world: World) -> list[dict[str, int]]:
    """Returned totals by lease, call by call."""
    return [
        {renewal.lease_id: renewal.returned_nanos for renewal in call.renewals}
        for call in world.billing.of(billing_pb2.RenewLeasesRequest)
    ]


async def test_a_renewal_trims_free_credit_to_the_cushion(world: World) -> None:
    account = world.account(1_000 * CENT)
    path = world.worker()
    for held in [await hold(path, account, 10 * CENT) for _ in range(4)]:
        path.release(held)
    lease = lease_of(path, account)
    before = lease.free
    world.clock.now_s += 20.0
    await hold(path, account, CENT)  # only this is recent
    await path._renewals.renew_all()
    assert lease.free == CENT
    assert renewed(world) == [{lease.id: before - CENT - CENT}]
    assert world.billing.leases[lease.id].remainder == 2 * CENT


async def test_credit_leaves_our_count_before_billing_is_told(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, 10 * CENT))
    lease = lease_of(path, account)
    seen: list[int] = []

    async def look() -> None:
        seen.append(lease.free)

    world.billing.faults.gate = look
    path.recall(account)
    await eventually(lambda: _is(renewed(world) != []))
    assert seen == [0]


async def test_a_lost_answer_to_a_return_is_made_good_by_the_next_renewal(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, 10 * CENT))
    lease = lease_of(path, account)
    world.billing.faults.away = True
    path.recall(account)
    await eventually(lambda: _is(renewed(world) != []))
    world.billing.faults.away = False
    await path._renewals.renew_all()
    assert world.billing.leases[lease.id].returned == lease.returned == 20 * CENT
    assert world.billing.available(account) == 100 * CENT


async def test_a_recall_leaves_what_requests_hold_and_quiets_the_cushion(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    await hold(path, account, 10 * CENT)
    path.recall(account)
    await eventually(lambda: _is(world.billing.available(account) == 90 * CENT))
    lease = lease_of(path, account)
    assert (lease.held, lease.free) == (10 * CENT, 0)
    asked = len(world.billing.asked())
    held = await hold(path, account, 5 * CENT)
    assert held.nanos == 5 * CENT
    (wish,) = world.billing.asked()[asked:]
    assert wish.wanted_nanos == 5 * CENT


async def test_a_recall_in_a_renewals_answer_is_heeded(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, 10 * CENT))
    world.billing.recalled.add(account)
    await path._renewals.renew_all()
    await eventually(lambda: _is(world.billing.available(account) == 100 * CENT))


async def test_a_lease_whose_month_is_over_takes_no_new_hold_and_is_closed_after_its_last_request(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    running = await hold(path, account, 10 * CENT)
    old = lease_of(path, account)
    made = record(account)
    path.open(running, made)
    world.billing.month_over = True
    await path._renewals.renew_all()
    world.billing.month_over = False
    other = await hold(path, account, CENT)
    assert other.lease is not old
    await path._renewals.close_ended()
    assert world.billing.of(billing_pb2.CloseLeasesRequest) == []
    await end(path, running, made, 4 * CENT)
    await path._renewals.close_ended()
    (call,) = world.billing.of(billing_pb2.CloseLeasesRequest)
    assert [(closing.lease_id, closing.spent_nanos) for closing in call.closings] == [(old.id, 4 * CENT)]


async def test_a_lease_that_is_gone_is_ended_and_noted_as_closed(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    path.release(await hold(path, account, CENT))
    lease = lease_of(path, account)
    world.billing.leases[lease.id].gone = True
    await path._renewals.renew_all()
    assert lease.ended
    assert path.try_hold(account_id=account, api_key_id=account, full_nanos=1) is None
    await path._renewals.close_ended()
    assert path._book.leases == {}


async def test_a_lease_without_requests_is_closed_after_5_s(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        await spend(path, account, 10 * CENT, 3 * CENT)
        lease = lease_of(path, account)
        await eventually(lambda: _is(lease.unacked == 0))
        assert not lease.ended
        world.clock.now_s += 5.0
        await eventually(lambda: _is(path._book.leases == {}), what="the lease to be forgotten")
        assert world.billing.leases[lease.id].spent == 3 * CENT
        assert world.billing.available(account) == 97 * CENT


async def test_a_request_that_runs_for_long_keeps_its_lease_but_not_the_cushion(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        await hold(path, account, 10 * CENT)
        lease = lease_of(path, account)
        world.clock.now_s += 30.0
        await eventually(lambda: _is(world.billing.available(account) == 90 * CENT))
        assert (lease.ended, lease.held, lease.free) == (False, 10 * CENT, 0)


async def test_a_closed_lease_is_renewed_until_usage_has_all_of_its_records(world: World) -> None:
    account = world.account(100 * CENT)
    world.usage.faults.away = True
    async with world.running() as path:
        await spend(path, account, 10 * CENT, 3 * CENT)
        lease = lease_of(path, account)
        world.clock.now_s += 5.0
        await eventually(lambda: _is(lease.closed))
        calls = len(renewed(world))
        await eventually(lambda: _is(len(renewed(world)) > calls + 2))
        assert lease.id in renewed(world)[-1]
        world.usage.faults.away = False
        await eventually(lambda: _is(lease.id not in path._book.leases))


async def test_a_lease_that_billing_has_not_answered_for_is_not_renewed_but_closed(world: World) -> None:
    account = world.account(100 * CENT)
    async with world.running() as path:
        world.billing.faults.lose_answers = 2  # the first renewal's, and the grant's
        await eventually(lambda: _is(world.billing.faults.lose_answers == 1))
        with pytest.raises(EdgeError):
            await hold(path, account, CENT)
        ((lease_id, lease),) = world.billing.leases.items()
        world.clock.now_s += 5.0
        await eventually(lambda: _is(lease.spent == 0))
        assert world.billing.available(account) == 100 * CENT
        assert all(lease_id not in call for call in renewed(world))


async def test_a_worker_is_ready_once_billing_has_answered_and_stays_so_when_it_falls_silent(world: World) -> None:
    path = world.worker()
    assert not await path.ready()
    await path._renewals.renew_all()
    assert await path.ready()
    world.clock.now_s += path._pace.stale_s + 1
    assert await path.ready()


async def _is(value: bool) -> bool:
    return value
