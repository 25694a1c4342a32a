"""RenewLeases, CloseLeases, expiry by billing's uptime, and release."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, USD, Owner, World, outcome, some_id


async def test_a_renewal_gives_free_credit_back_by_its_total(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    for returned in (20 * CENT, 20 * CENT, 5 * CENT):
        (state,) = await world.renew(owner.worker_id, {lease_id: returned})
        assert state == pb.LeaseState(lease_id=lease_id, granted_nanos=50 * CENT, returned_nanos=20 * CENT)
        assert await world.amounts(owner) == (USD, 30 * CENT)
    (state,) = await world.renew(owner.worker_id, {lease_id: 25 * CENT})
    assert state.returned_nanos == 25 * CENT
    assert await world.amounts(owner) == (USD, 25 * CENT)


async def test_no_more_comes_back_than_is_left(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.settle(owner.charge(30 * CENT, lease_id=lease_id))
    (state,) = await world.renew(owner.worker_id, {lease_id: 2**63 - 1})
    assert state.returned_nanos == 20 * CENT
    assert await world.amounts(owner) == (70 * CENT, 0)


async def test_a_closed_lease_returns_nothing_that_it_keeps(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.close(owner.worker_id, {lease_id: 30 * CENT})
    (state,) = await world.renew(owner.worker_id, {lease_id: 50 * CENT})
    assert (state.gone, state.returned_nanos) == (False, 20 * CENT)
    assert await world.amounts(owner) == (USD, 30 * CENT)


async def test_renewals_are_answered_in_their_order_and_unknown_leases_are_gone(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    mine, theirs, unknown = await world.lease(owner, CENT), await world.lease(other, CENT), some_id()
    states = await world.renew(owner.worker_id, {unknown: 5, mine: 0, theirs: CENT})
    assert states == [
        pb.LeaseState(lease_id=unknown, gone=True),
        pb.LeaseState(lease_id=mine, granted_nanos=CENT),
        pb.LeaseState(lease_id=theirs, gone=True),
    ]
    assert await world.amounts(other) == (USD, CENT)
    assert await world.renew(owner.worker_id, {}) == []


async def test_a_lease_named_twice_is_answered_twice_by_its_greater_total(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 10 * CENT)
    request = pb.RenewLeasesRequest(
        worker_id=owner.worker_id,
        renewals=[
            pb.LeaseRenewal(lease_id=lease_id, returned_nanos=3 * CENT),
            pb.LeaseRenewal(lease_id=lease_id.upper(), returned_nanos=CENT),
        ],
    )
    states = (await world.stub.RenewLeases(request)).leases
    assert [state.returned_nanos for state in states] == [3 * CENT, 3 * CENT]


async def test_many_leases_of_many_accounts_are_renewed_at_once(world: World) -> None:
    worker_id = some_id()
    owners = [Owner((await world.owner()).account_id, worker_id=worker_id) for _ in range(20)]
    leases = {await world.lease(owner, CENT): number for number, owner in enumerate(owners)}
    states = await world.renew(worker_id, leases)
    assert [state.returned_nanos for state in states] == list(range(20))
    for number, owner in enumerate(owners):
        assert await world.amounts(owner) == (USD, CENT - number)


async def test_when_the_month_is_over_the_lease_is_told_so_and_still_charged_to_it(world: World) -> None:
    world.clock.now = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)
    owner = await world.owner()
    lease_id = await world.lease(owner, 10 * CENT)
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert not state.month_over
    world.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert (state.month_over, state.gone) == (True, False)
    await world.settle(owner.charge(4 * CENT, lease_id=lease_id))
    assert await world.spend(owner) == 0
    await world.settle(owner.charge(CENT))
    assert await world.spend(owner) == CENT
    world.clock.now = datetime(2026, 5, 31, tzinfo=UTC)
    assert await world.spend(owner) == 4 * CENT
    await world.close(owner.worker_id, {lease_id: 4 * CENT})
    assert await world.amounts(owner) == (95 * CENT, 0)


async def test_closing_keeps_what_was_spent_and_is_not_settled(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.settle(owner.charge(10 * CENT, lease_id=lease_id))
    for _ in range(2):
        await world.close(owner.worker_id, {lease_id: 25 * CENT})
        assert await world.amounts(owner) == (90 * CENT, 15 * CENT)
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert (state.gone, state.returned_nanos) == (False, 25 * CENT)
    await world.settle(owner.charge(15 * CENT, lease_id=lease_id))
    assert await world.amounts(owner) == (75 * CENT, 0)
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert state.gone
    assert await world.house("absorbed") == 0


async def test_of_two_closings_the_greater_total_counts(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.close(owner.worker_id, {lease_id: 20 * CENT})
    await world.close(owner.worker_id, {lease_id: 10 * CENT})
    assert await world.amounts(owner) == (USD, 20 * CENT)
    await world.close(owner.worker_id, {lease_id: 60 * CENT})
    assert await world.amounts(owner) == (USD, 20 * CENT)


async def test_closing_with_an_absurd_total_keeps_no_more_than_was_granted(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.close(owner.worker_id, {lease_id: 2**63 - 1})
    assert await world.amounts(owner) == (USD, 50 * CENT)


async def test_nobody_closes_the_lease_of_another_worker(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.close(some_id(), {lease_id: 0})
    assert await world.amounts(owner) == (USD, 50 * CENT)
    grow = owner.wish(CENT, lease_id=lease_id, known_granted_nanos=50 * CENT)
    (grant,) = await world.acquire(owner.worker_id, grow)
    assert outcome(grant) == "GRANTED"


async def test_a_worker_is_expired_60_s_after_its_last_renewal(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, CENT)
    await world.pass_time(59)
    assert await world.expired() == []
    await world.renew(owner.worker_id, {lease_id: 0})
    await world.pass_time(59)
    assert await world.expired() == []
    await world.pass_time(1)
    assert await world.expired() == [owner.worker_id]
    assert await world.amounts(owner) == (USD, CENT)


async def test_growing_a_lease_is_a_sign_of_life_too(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, CENT)
    await world.pass_time(59)
    await world.acquire(owner.worker_id, owner.wish(CENT, lease_id=lease_id, known_granted_nanos=CENT))
    await world.pass_time(59)
    assert await world.expired() == []


async def test_a_renewal_revives_an_expired_lease(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, CENT)
    await world.pass_time(149)
    assert await world.expired(owner.worker_id) == [owner.worker_id]
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert not state.gone
    assert await world.expired(owner.worker_id) == []
    await world.pass_time(59)
    assert await world.expired(owner.worker_id) == []
    assert await world.amounts(owner) == (USD, CENT)


async def test_a_drained_workers_leases_go_90_s_after_their_expiry(world: World) -> None:
    owner = await world.owner()
    sibling = Owner(owner.account_id, worker_id=owner.worker_id)
    lease_id = await world.lease(owner, 10 * CENT)
    closed = await world.lease(sibling, 20 * CENT)
    await world.close(owner.worker_id, {closed: 15 * CENT})
    await world.settle(owner.charge(2 * CENT, lease_id=lease_id))
    await world.pass_time(149)
    assert await world.expired(owner.worker_id) == [owner.worker_id]
    assert await world.amounts(owner) == (98 * CENT, 23 * CENT)
    await world.pass_time(1)
    assert await world.expired() == [owner.worker_id]
    assert await world.amounts(owner) == (98 * CENT, 23 * CENT)
    assert await world.expired(owner.worker_id) == []
    assert await world.amounts(owner) == (98 * CENT, 0)
    states = await world.renew(owner.worker_id, {lease_id: 0, closed: 0})
    assert [state.gone for state in states] == [True, True]
    assert [state.returned_nanos for state in states] == [8 * CENT, 20 * CENT]


async def test_only_expired_leases_of_a_drained_worker_go(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    silent = await world.lease(owner, CENT)
    alive = await world.lease(Owner(owner.account_id, worker_id=owner.worker_id), CENT)
    await world.lease(other, CENT)
    for _ in range(3):
        await world.pass_time(50)
        await world.renew(owner.worker_id, {alive: 0})
    assert await world.expired(owner.worker_id) == [other.worker_id]
    states = await world.renew(owner.worker_id, {silent: 0, alive: 0})
    assert [state.gone for state in states] == [True, False]
    assert await world.amounts(other) == (USD, CENT)


async def test_charges_in_the_same_call_are_settled_before_the_lease_goes(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, USD)
    await world.pass_time(150)
    request = pb.SettleChargesRequest(
        charges=[owner.charge(30 * CENT, lease_id=lease_id)], drained_worker_ids=[owner.worker_id]
    )
    answer = await world.stub.SettleCharges(request)
    assert (len(answer.results), list(answer.expired_worker_ids)) == (1, [])
    assert await world.amounts(owner) == (70 * CENT, 0)


async def test_the_time_that_billing_was_away_does_not_count(world: World) -> None:
    owner = await world.owner()
    await world.lease(owner, CENT)
    await world.pass_time(30)
    world.clock.now += timedelta(minutes=10)
    await world.uptime.beat()
    assert await world.expired(owner.worker_id) == []
    await world.pass_time(27)
    assert await world.expired(owner.worker_id) == []
    await world.pass_time(3)
    assert await world.expired() == [owner.worker_id]


async def test_two_instances_do_not_make_time_run_twice_as_fast(world: World) -> None:
    owner = await world.owner()
    await world.lease(owner, CENT)
    for _ in range(118):
        world.clock.now += timedelta(milliseconds=500)
        await world.uptime.beat()
        await world.uptime.beat()
    assert await world.expired() == []
    await world.pass_time(1)
    assert await world.expired() == [owner.worker_id]


async def test_a_clock_set_back_does_not_turn_the_uptime_back(world: World) -> None:
    before = await world.uptime.beat()
    world.clock.now -= timedelta(hours=1)
    assert await world.uptime.beat() == before
    world.clock.now += timedelta(seconds=1)
    assert await world.uptime.beat() == before + 1_000


@pytest.mark.parametrize("lease_id, nanos", [("no id", 0), ("", 0), (None, -1)])
async def test_totals_and_ids_that_make_no_sense_are_refused(world: World, lease_id: str | None, nanos: int) -> None:
    owner = await world.owner()
    lease = await world.lease(owner, CENT)
    for call in (world.renew, world.close):
        with pytest.raises(RemoteError) as caught:
            await call(owner.worker_id, {lease if lease_id is None else lease_id: nanos})
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await world.amounts(owner) == (USD, CENT)
