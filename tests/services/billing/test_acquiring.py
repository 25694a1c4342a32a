"""AcquireLeases: how much is granted, to whom it is refused, and why."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, USD, Owner, World, outcome, some_id
from tests.support.waiting import eventually

MILL = USD // 1_000
"""The least balance that gets new credit."""


async def acquire(world: World, owner: Owner, wish: pb.LeaseWish) -> pb.LeaseGrant:
    (grant,) = await world.acquire(owner.worker_id, wish)
    return grant


async def recalled(world: World, owner: Owner) -> None:
    """Waits for the hint."""

    async def seen() -> bool:
        return ("accounts", {"account_id": owner.account_id, "kind": "recall"}) in world.bus.hints

    await eventually(seen)


async def test_what_is_needed_is_set_aside(world: World) -> None:
    owner = await world.owner()
    wish = owner.wish(30 * CENT)
    expected = pb.LeaseGrant(
        lease_id=wish.lease_id, outcome=pb.LEASE_OUTCOME_GRANTED, granted_nanos=30 * CENT, posted_nanos=USD
    )
    assert await acquire(world, owner, wish) == expected
    assert await world.amounts(owner) == (USD, 30 * CENT)


async def test_a_hold_gets_all_that_is_available(world: World) -> None:
    owner = await world.owner()
    assert (await acquire(world, owner, owner.wish(USD))).granted_nanos == USD
    assert await world.amounts(owner) == (USD, USD)


async def test_less_than_all_is_granted_down_to_the_least(world: World) -> None:
    owner = await world.owner()
    grant = await acquire(world, owner, owner.wish(3 * USD, USD))
    assert (outcome(grant), grant.granted_nanos) == ("GRANTED", USD)
    other = await world.owner()
    grant = await acquire(world, other, other.wish(3 * USD, USD + 1))
    assert (outcome(grant), grant.granted_nanos, grant.posted_nanos) == ("INSUFFICIENT_CREDITS", 0, USD)
    assert await world.amounts(other) == (USD, 0)


@pytest.mark.parametrize(
    "posted, needed, wanted, granted",
    [
        (USD, 0, USD, USD // 8),
        (USD, 10 * CENT, USD, 10 * CENT + USD // 8),
        (USD, 10 * CENT, 15 * CENT, 15 * CENT),
        (80 * USD, 0, 80 * USD, USD),
        (80 * USD, 20 * USD, 80 * USD, 21 * USD),
        (USD, 95 * CENT, 2 * USD, USD),
    ],
)
async def test_the_cushion_is_an_eighth_of_what_is_available_and_a_dollar_at_most(
    world: World, posted: int, needed: int, wanted: int, granted: int
) -> None:
    owner = await world.owner(posted)
    grant = await acquire(world, owner, owner.wish(wanted, 0, needed_nanos=needed))
    assert (outcome(grant), grant.granted_nanos) == ("GRANTED", granted)


async def test_a_lease_grows_by_what_is_wanted_above_what_the_worker_knows(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 10 * CENT)
    grant = await acquire(world, owner, owner.wish(5 * CENT, lease_id=lease_id, known_granted_nanos=10 * CENT))
    assert (grant.granted_nanos, grant.returned_nanos) == (15 * CENT, 0)
    assert await world.amounts(owner) == (USD, 15 * CENT)


async def test_a_grant_whose_answer_was_lost_is_handed_over_not_given_twice(world: World) -> None:
    owner = await world.owner()
    wish = owner.wish(10 * CENT)
    first = await acquire(world, owner, wish)
    assert await acquire(world, owner, wish) == first
    assert await world.amounts(owner) == (USD, 10 * CENT)
    more = await acquire(world, owner, owner.wish(25 * CENT, lease_id=wish.lease_id))
    assert more.granted_nanos == 25 * CENT
    less = await acquire(world, owner, owner.wish(CENT, lease_id=wish.lease_id))
    assert less.granted_nanos == 25 * CENT
    assert await world.amounts(owner) == (USD, 25 * CENT)


async def test_what_was_handed_over_counts_although_nothing_is_available_any_more(world: World) -> None:
    owner = await world.owner()
    wish = owner.wish(USD)
    await acquire(world, owner, wish)
    assert outcome(await acquire(world, owner, wish)) == "GRANTED"
    short = await acquire(world, owner, owner.wish(USD + 1, USD + 1, lease_id=wish.lease_id))
    assert (outcome(short), short.granted_nanos) == ("INSUFFICIENT_CREDITS", USD)


async def test_a_lost_grant_is_handed_over_even_when_the_account_has_become_poor(world: World) -> None:
    owner = await world.owner(2 * MILL)
    wish = owner.wish(MILL // 2)
    await acquire(world, owner, wish)
    await world.settle(owner.charge(MILL + MILL // 4))
    assert await world.amounts(owner) == (MILL - MILL // 4, MILL // 2)
    again = await acquire(world, owner, wish)
    assert (outcome(again), again.granted_nanos) == ("GRANTED", MILL // 2)


async def test_under_a_tenth_of_a_cent_there_is_no_new_credit_however_little_is_wanted(world: World) -> None:
    poor, rich = await world.owner(MILL - 1), await world.owner(MILL)
    assert outcome(await acquire(world, poor, poor.wish(1))) == "INSUFFICIENT_CREDITS"
    assert outcome(await acquire(world, poor, poor.wish(1, 0))) == "INSUFFICIENT_CREDITS"
    assert outcome(await acquire(world, rich, rich.wish(1))) == "GRANTED"
    assert await world.amounts(poor) == (MILL - 1, 0)


async def test_an_unopened_account_is_named_and_does_not_hold_up_others(world: World) -> None:
    owner = await world.owner()
    stranger = Owner(some_id(), worker_id=owner.worker_id)
    grants = await world.acquire(owner.worker_id, stranger.wish(CENT), owner.wish(CENT))
    assert [outcome(grant) for grant in grants] == ["ACCOUNT_NOT_FOUND", "GRANTED"]


async def test_money_in_other_leases_is_in_use_and_recalled(world: World) -> None:
    owner = await world.owner()
    other = Owner(owner.account_id)
    held = await world.lease(other, 80 * CENT)
    grant = await acquire(world, owner, owner.wish(50 * CENT))
    assert (outcome(grant), grant.granted_nanos, grant.recall) == ("CREDITS_IN_USE", 0, True)
    assert grant.posted_nanos == USD
    await recalled(world, owner)
    (state,) = await world.renew(other.worker_id, {held: 0})
    assert state.recall
    (state,) = await world.renew(other.worker_id, {held: 40 * CENT})
    assert state.returned_nanos == 40 * CENT
    assert outcome(await acquire(world, owner, owner.wish(50 * CENT))) == "GRANTED"
    assert await world.amounts(owner) == (USD, 90 * CENT)


async def test_a_part_is_granted_while_the_rest_is_recalled(world: World) -> None:
    owner = await world.owner()
    await world.lease(Owner(owner.account_id), 80 * CENT)
    grant = await acquire(world, owner, owner.wish(50 * CENT, 10 * CENT))
    assert (outcome(grant), grant.granted_nanos, grant.recall) == ("GRANTED", 20 * CENT, True)
    await recalled(world, owner)


async def test_what_the_lease_itself_holds_is_in_use_and_nobody_is_recalled(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 80 * CENT)
    wish = owner.wish(50 * CENT, lease_id=lease_id, known_granted_nanos=80 * CENT)
    grant = await acquire(world, owner, wish)
    assert (outcome(grant), grant.recall, grant.granted_nanos) == ("CREDITS_IN_USE", False, 80 * CENT)


async def test_a_cushion_recalls_nobody(world: World) -> None:
    owner = await world.owner()
    await world.lease(Owner(owner.account_id), USD)
    grant = await acquire(world, owner, owner.wish(50 * CENT, 0, needed_nanos=0))
    assert (outcome(grant), grant.granted_nanos, grant.recall) == ("GRANTED", 0, False)


async def test_too_little_posted_recalls_nobody(world: World) -> None:
    owner = await world.owner()
    await world.lease(Owner(owner.account_id), 80 * CENT)
    grant = await acquire(world, owner, owner.wish(2 * USD))
    assert (outcome(grant), grant.recall) == ("INSUFFICIENT_CREDITS", False)


async def test_while_recalled_an_account_gives_no_cushion(world: World) -> None:
    owner = await world.owner()
    held = Owner(owner.account_id)
    await world.lease(held, 80 * CENT)
    await acquire(world, owner, owner.wish(50 * CENT))
    third = Owner(owner.account_id)
    grant = await acquire(world, third, third.wish(10 * CENT, CENT, needed_nanos=CENT))
    assert (grant.granted_nanos, grant.recall) == (CENT, True)
    world.clock.now += timedelta(seconds=16)
    later = Owner(owner.account_id)
    grant = await acquire(world, later, later.wish(10 * CENT, CENT, needed_nanos=CENT))
    assert (grant.granted_nanos, grant.recall) == (CENT + 19 * CENT // 8, False)


async def test_new_credit_ends_a_recall(world: World) -> None:
    owner = await world.owner()
    held = Owner(owner.account_id)
    lease_id = await world.lease(held, 80 * CENT)
    await acquire(world, owner, owner.wish(50 * CENT))
    await world.stub.TopUp(
        pb.TopUpRequest(account_id=owner.account_id, amount_nanos=10 * USD, idempotency_key="payment")
    )
    (state,) = await world.renew(held.worker_id, {lease_id: 0})
    assert not state.recall


async def test_a_keys_month_caps_what_is_granted(world: World) -> None:
    owner = await world.owner()
    limit = 30 * CENT
    grant = await acquire(world, owner, owner.wish(50 * CENT, CENT, limit=limit))
    assert (outcome(grant), grant.granted_nanos) == ("GRANTED", 30 * CENT)
    again = await acquire(world, owner, owner.wish(CENT, limit=limit))
    assert outcome(again) == "CREDITS_IN_USE"
    await world.settle(owner.charge(30 * CENT, lease_id=grant.lease_id))
    spent = await acquire(world, owner, owner.wish(1, limit=limit))
    assert (outcome(spent), spent.posted_nanos) == ("KEY_LIMIT_REACHED", 70 * CENT)
    raised = await acquire(world, owner, owner.wish(CENT, limit=31 * CENT))
    assert outcome(raised) == "GRANTED"
    sibling = Owner(owner.account_id)
    assert outcome(await acquire(world, sibling, sibling.wish(CENT, limit=limit))) == "GRANTED"


async def test_another_workers_lease_of_the_same_key_counts_and_is_recalled(world: World) -> None:
    owner = await world.owner()
    twin = Owner(owner.account_id, api_key_id=owner.api_key_id)
    await world.lease(twin, 25 * CENT)
    grant = await acquire(world, owner, owner.wish(10 * CENT, limit=30 * CENT))
    assert (outcome(grant), grant.recall) == ("CREDITS_IN_USE", True)
    await recalled(world, owner)


async def test_a_limit_of_zero_and_a_limit_below_what_was_spent_are_reached(world: World) -> None:
    owner = await world.owner()
    assert outcome(await acquire(world, owner, owner.wish(1, limit=0))) == "KEY_LIMIT_REACHED"
    await world.settle(owner.charge(20 * CENT))
    lowered = await acquire(world, owner, owner.wish(1, limit=10 * CENT))
    assert outcome(lowered) == "KEY_LIMIT_REACHED"
    assert await world.settle(owner.charge(CENT)) == ["BOOKED"]


async def test_too_little_money_is_said_before_too_low_a_limit(world: World) -> None:
    owner = await world.owner(CENT)
    grant = await acquire(world, owner, owner.wish(2 * CENT, limit=0))
    assert outcome(grant) == "INSUFFICIENT_CREDITS"


async def test_a_keys_limit_begins_anew_with_the_utc_month(world: World) -> None:
    world.clock.now = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)
    owner = await world.owner()
    limit = 10 * CENT
    lease_id = await world.lease(owner, 10 * CENT)
    await world.settle(owner.charge(10 * CENT, lease_id=lease_id))
    assert outcome(await acquire(world, owner, owner.wish(CENT, limit=limit))) == "KEY_LIMIT_REACHED"
    world.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    assert outcome(await acquire(world, owner, owner.wish(CENT, limit=limit))) == "GRANTED"


async def test_wishes_of_one_call_share_one_balance_in_their_order(world: World) -> None:
    owner = await world.owner()
    sibling = Owner(owner.account_id, worker_id=owner.worker_id)
    other = await world.owner()
    grants = await world.acquire(
        owner.worker_id, owner.wish(60 * CENT), sibling.wish(60 * CENT, CENT), owner.wish(CENT), other.wish(USD)
    )
    assert [(outcome(grant), grant.granted_nanos) for grant in grants] == [
        ("GRANTED", 60 * CENT),
        ("GRANTED", 40 * CENT),
        ("CREDITS_IN_USE", 0),
        ("GRANTED", USD),
    ]


@pytest.mark.parametrize("change", ["account", "key", "worker", "closed", "released", "month"])
async def test_a_lease_that_is_gone_is_not_grown(world: World, change: str) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 10 * CENT)
    asker, known = owner, 10 * CENT
    if change == "account":
        asker = Owner((await world.owner()).account_id, owner.api_key_id, owner.worker_id)
    if change == "key":
        asker = Owner(owner.account_id, worker_id=owner.worker_id)
    if change == "worker":
        asker, known = Owner(owner.account_id, owner.api_key_id), 0
    if change == "closed":
        await world.close(owner.worker_id, {lease_id: 4 * CENT})
    if change == "released":
        await world.close(owner.worker_id, {lease_id: 0})
    if change == "month":
        world.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    before = await world.amounts(owner)
    grant = await acquire(world, asker, asker.wish(CENT, lease_id=lease_id, known_granted_nanos=10 * CENT))
    returned = {"closed": 6 * CENT, "released": 10 * CENT}.get(change, 0)
    assert (outcome(grant), grant.granted_nanos, grant.returned_nanos) == ("LEASE_GONE", known, returned)
    assert await world.amounts(owner) == before
    assert outcome(await acquire(world, asker, asker.wish(CENT))) == "GRANTED"


async def test_a_lease_closed_before_it_began_never_begins(world: World) -> None:
    owner = await world.owner()
    lease_id = some_id()
    await world.close(owner.worker_id, {lease_id: 0})
    grant = await acquire(world, owner, owner.wish(CENT, lease_id=lease_id))
    assert outcome(grant) == "LEASE_GONE"
    assert await world.amounts(owner) == (USD, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"lease_id": "no id"},
        {"account_id": ""},
        {"api_key_id": ""},
        {"wanted_nanos": -1},
        {"least_nanos": -1},
        {"least_nanos": CENT + 1},
        {"needed_nanos": -1},
        {"known_granted_nanos": -1},
        {"known_granted_nanos": 2**63 - 1},
        {"key_monthly_limit_nanos": -1},
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(world: World, fields: dict[str, str | int]) -> None:
    owner = await world.owner()
    wish = owner.wish(CENT)
    for name, value in fields.items():
        setattr(wish, name, value)
    with pytest.raises(RemoteError) as caught:
        await acquire(world, owner, wish)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await world.amounts(owner) == (USD, 0)


async def test_an_absurdly_large_wish_gets_what_there_is(world: World) -> None:
    owner = await world.owner()
    grant = await acquire(world, owner, owner.wish(2**63 - 1, 1, needed_nanos=2**63 - 1))
    assert grant.granted_nanos == USD


async def test_a_call_takes_1_to_1000_wishes_for_different_leases(world: World) -> None:
    owner = await world.owner()
    twice = owner.wish(CENT)
    for wishes in ([], [twice, twice], [owner.wish(1) for _ in range(1_001)]):
        with pytest.raises(RemoteError) as caught:
            await world.acquire(owner.worker_id, *wishes)
        assert caught.value.metadata == {"field": "wishes"}
    grants = await world.acquire(owner.worker_id, *(owner.wish(1) for _ in range(1_000)))
    assert {outcome(grant) for grant in grants} == {"GRANTED"}
    assert await world.amounts(owner) == (USD, 1_000)
