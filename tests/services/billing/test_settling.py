"""SettleCharges: each charge once, from lease, then available, then the house; and its answer for each row."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, USD, Owner, World, some_id


async def test_a_charge_is_taken_from_its_lease(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    charge = owner.charge(20 * CENT, lease_id=lease_id)
    assert await world.settle(charge) == ["BOOKED"]
    assert await world.amounts(owner) == (80 * CENT, 30 * CENT)
    assert await world.spend(owner) == 20 * CENT
    assert (await world.house("revenue"), await world.house("absorbed")) == (20 * CENT, 0)
    row = await world.admin.fetchrow("SELECT * FROM billing.ledger_transactions WHERE kind = 'charge'")
    assert row is not None
    assert (str(row["request_id"]), row["revision"], str(row["lease_id"])) == (charge.request_id, 1, lease_id)
    assert row["price_version_id"] == charge.price_version_id
    assert row["record_time"] == charge.record_time.ToDatetime(tzinfo=UTC)


async def test_what_the_lease_lacks_comes_from_what_is_available_then_from_the_house(world: World) -> None:
    owner = await world.owner(60 * CENT)
    sibling = Owner(owner.account_id)
    lease_id = await world.lease(owner, 10 * CENT)
    await world.lease(sibling, 20 * CENT)
    assert await world.settle(owner.charge(50 * CENT, lease_id=lease_id)) == ["BOOKED"]
    # 10 of its lease, 30 available, 10 nobody's; the sibling's lease is not touched.
    assert await world.amounts(owner) == (20 * CENT, 20 * CENT)
    assert (await world.house("absorbed"), await world.house("revenue")) == (-10 * CENT, 50 * CENT)
    assert await world.spend(owner) == 50 * CENT
    assert (await world.transactions(owner))[0].amount_nanos == -40 * CENT


async def test_a_charge_on_an_empty_account_is_the_houses(world: World) -> None:
    owner = await world.owner(0)
    assert await world.settle(owner.charge(CENT)) == ["BOOKED"]
    assert await world.amounts(owner) == (0, 0)
    assert await world.house("absorbed") == -CENT
    assert (await world.transactions(owner))[0].amount_nanos == 0


@pytest.mark.parametrize("whose", ["account", "key", "nobody"])
async def test_a_lease_pays_only_for_its_own_account_and_key(world: World, whose: str) -> None:
    owner = await world.owner()
    other = await world.owner() if whose == "account" else Owner(owner.account_id)
    lease_id = some_id() if whose == "nobody" else await world.lease(other, 50 * CENT)
    leased = (await world.account(other)).leased_nanos
    assert await world.settle(owner.charge(10 * CENT, lease_id=lease_id)) == ["BOOKED"]
    assert (await world.account(owner)).posted_nanos == 90 * CENT
    assert (await world.account(other)).leased_nanos == leased


async def test_a_charge_of_a_released_lease_comes_from_what_is_available(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    await world.pass_time(150)
    assert await world.expired(owner.worker_id) == []
    assert await world.settle(owner.charge(20 * CENT, lease_id=lease_id)) == ["BOOKED"]
    assert await world.amounts(owner) == (80 * CENT, 0)
    assert await world.house("absorbed") == 0


async def test_a_repeated_charge_is_known_and_booked_once(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    charge = owner.charge(20 * CENT, lease_id=lease_id)
    assert await world.settle(charge, charge) == ["BOOKED", "KNOWN"]
    assert await world.settle(charge) == ["KNOWN"]
    assert await world.amounts(owner) == (80 * CENT, 30 * CENT)


async def test_another_amount_or_account_for_a_known_request_is_a_conflict(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    charge = owner.charge(20 * CENT)
    assert await world.settle(charge) == ["BOOKED"]
    dearer = owner.charge(21 * CENT, request_id=charge.request_id)
    elsewhere = other.charge(20 * CENT, request_id=charge.request_id)
    assert await world.settle(dearer, elsewhere, other.charge(CENT)) == ["CONFLICT", "CONFLICT", "BOOKED"]
    assert await world.amounts(owner) == (80 * CENT, 0)
    assert await world.amounts(other) == (99 * CENT, 0)


async def test_within_a_batch_the_first_of_two_counts(world: World) -> None:
    owner = await world.owner()
    charge = owner.charge(20 * CENT)
    dearer = owner.charge(21 * CENT, request_id=charge.request_id)
    assert await world.settle(dearer, charge, dearer, charge) == ["BOOKED", "CONFLICT", "KNOWN", "CONFLICT"]
    assert await world.amounts(owner) == (79 * CENT, 0)


async def test_revision_2_takes_or_gives_the_difference_once(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 50 * CENT)
    charge = owner.charge(20 * CENT, lease_id=lease_id)
    back = owner.charge(-5 * CENT, lease_id=lease_id, request_id=charge.request_id, revision=2)
    assert await world.settle(charge, back, back) == ["BOOKED", "BOOKED", "KNOWN"]
    assert await world.settle(back) == ["KNOWN"]
    assert await world.amounts(owner) == (85 * CENT, 35 * CENT)
    assert await world.spend(owner) == 15 * CENT
    assert await world.house("revenue") == 15 * CENT
    other = owner.charge(20 * CENT, lease_id=lease_id)
    more = owner.charge(5 * CENT, lease_id=lease_id, request_id=other.request_id, revision=2)
    assert await world.settle(other, more) == ["BOOKED", "BOOKED"]
    assert await world.amounts(owner) == (60 * CENT, 10 * CENT)


async def test_what_revision_2_gives_back_is_the_leases_until_that_is_released(world: World) -> None:
    """The worker has spent 4, so of its 50 it may still spend 46, whatever it was charged for a while."""
    owner = await world.owner(50 * CENT)
    lease_id = await world.lease(owner, 50 * CENT)
    presumed = owner.charge(10 * CENT, lease_id=lease_id)
    back = owner.charge(-6 * CENT, lease_id=lease_id, request_id=presumed.request_id, revision=2)
    assert await world.settle(presumed, back) == ["BOOKED", "BOOKED"]
    assert await world.amounts(owner) == (46 * CENT, 46 * CENT)
    assert await world.settle(owner.charge(40 * CENT, lease_id=lease_id)) == ["BOOKED"]
    await world.close(owner.worker_id, {lease_id: 44 * CENT})
    assert await world.amounts(owner) == (6 * CENT, 0)
    late = owner.charge(-CENT, lease_id=lease_id, revision=2)
    assert await world.settle(late) == ["BOOKED"]
    assert await world.amounts(owner) == (7 * CENT, 0)
    assert await world.house("absorbed") == 0


async def test_revision_2_may_come_first_or_alone(world: World) -> None:
    owner = await world.owner()
    charge = owner.charge(20 * CENT)
    back = owner.charge(-5 * CENT, request_id=charge.request_id, revision=2)
    alone = owner.charge(3 * CENT, revision=2)
    assert await world.settle(back, alone, charge) == ["BOOKED", "BOOKED", "BOOKED"]
    assert await world.amounts(owner) == (82 * CENT, 0)


async def test_a_refused_charge_does_not_hold_up_the_others(world: World) -> None:
    owner = await world.owner()
    stranger = Owner(some_id())
    batch = [owner.charge(CENT), stranger.charge(CENT), owner.charge(0), owner.charge(CENT)]
    assert await world.settle(*batch) == ["BOOKED", "UNKNOWN_ACCOUNT", "INVALID", "BOOKED"]
    assert await world.amounts(owner) == (98 * CENT, 0)
    # The unknown account's charge is not remembered: it may be booked once the account exists.
    await world.stub.OpenAccount(pb.OpenAccountRequest(account_id=stranger.account_id))
    assert await world.settle(*batch) == ["KNOWN", "BOOKED", "INVALID", "KNOWN"]


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_nanos": 0},
        {"amount_nanos": -CENT},
        {"amount_nanos": 2**63 - 1},
        {"amount_nanos": 0, "revision": 2},
        {"amount_nanos": -(2**63), "revision": 2},
        {"revision": 0},
        {"revision": 3},
        {"revision": -1},
        {"request_id": ""},
        {"request_id": "no id"},
        {"account_id": "no id"},
        {"api_key_id": ""},
        {"lease_id": "no id"},
    ],
)
async def test_a_charge_that_makes_no_sense_is_invalid(world: World, fields: dict[str, int | str]) -> None:
    owner = await world.owner()
    charge = owner.charge(CENT)
    for name, value in fields.items():
        setattr(charge, name, value)
    assert await world.settle(charge, owner.charge(CENT)) == ["INVALID", "BOOKED"]
    assert await world.amounts(owner) == (99 * CENT, 0)


async def test_an_absurd_time_is_invalid_and_none_is_now(world: World) -> None:
    owner = await world.owner()
    absurd, timeless = owner.charge(CENT), owner.charge(CENT)
    absurd.record_time.seconds = 2**62
    timeless.ClearField("record_time")
    assert await world.settle(absurd, timeless) == ["INVALID", "BOOKED"]
    row = await world.admin.fetchrow("SELECT record_time FROM billing.ledger_transactions WHERE kind = 'charge'")
    assert row is not None
    assert row["record_time"] == world.clock.now


async def test_odd_texts_do_not_stop_a_charge(world: World) -> None:
    owner = await world.owner()
    charge = owner.charge(CENT)
    charge.model_public_name = "a\0b" + "x" * 1_000
    charge.price_version_id = ""
    assert await world.settle(charge) == ["BOOKED"]
    assert (await world.transactions(owner))[0].description == "ab" + "x" * 198


async def test_many_charges_of_many_accounts_are_one_batch(world: World) -> None:
    owners = [await world.owner() for _ in range(10)]
    leases = {owner.account_id: await world.lease(owner, 50 * CENT) for owner in owners}
    batch = [owner.charge(number + 1, lease_id=leases[owner.account_id]) for number in range(500) for owner in owners]
    assert set(await world.settle(*batch)) == {"BOOKED"}
    spent = 500 * 501 // 2
    for owner in owners:
        assert await world.amounts(owner) == (USD - spent, 50 * CENT - spent)
        assert await world.spend(owner) == spent


async def test_a_batch_has_5000_charges_at_most_and_may_be_empty(world: World) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await world.settle(*(owner.charge(1) for _ in range(5_001)))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await world.settle() == []


async def test_the_same_batch_sent_ten_times_at_once_is_booked_once(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    batch = [who.charge(CENT) for who in (owner, other) for _ in range(20)]
    answers = await asyncio.gather(*(world.settle(*(batch if number % 2 else batch[::-1])) for number in range(10)))
    assert sorted(result for answer in answers for result in answer) == ["BOOKED"] * 40 + ["KNOWN"] * 360
    assert await world.amounts(owner) == (80 * CENT, 0)
    assert await world.amounts(other) == (80 * CENT, 0)


async def test_one_request_charged_to_two_accounts_at_once_is_booked_for_one(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    requests = [some_id() for _ in range(20)]
    mine = [owner.charge(CENT, request_id=request_id) for request_id in requests]
    theirs = [other.charge(CENT, request_id=request_id) for request_id in reversed(requests)]
    first, second = await asyncio.gather(world.settle(*mine), world.settle(*theirs))
    assert sorted(set(first) | set(second)) == ["BOOKED", "CONFLICT"]
    assert (first + second).count("BOOKED") == 20


async def test_spend_is_told_for_this_month_only_and_only_where_there_is_some(world: World) -> None:
    owner, idle = await world.owner(), await world.owner()
    await world.settle(owner.charge(CENT), owner.charge(CENT))
    await world.lease(idle, CENT)
    request = pb.BatchGetKeySpendRequest(api_key_ids=[owner.api_key_id, idle.api_key_id, some_id()])
    answer = await world.stub.BatchGetKeySpend(request)
    assert list(answer.key_spends) == [pb.KeySpend(api_key_id=owner.api_key_id, charged_nanos=2 * CENT)]
    world.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    assert await world.stub.BatchGetKeySpend(request) == pb.BatchGetKeySpendResponse()
