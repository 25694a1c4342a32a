"""Corrections of charges: once each, whatever was charged or corrected before, and never beyond what is available."""

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, NOW, USD, Owner, World, some_id

VERSION = some_id()
WHY = "privaterouter/fast at another price"


def should_cost(request_id: str, nanos: int, *, charged: int = CENT) -> pb.ChargeCorrection:
    return pb.ChargeCorrection(request_id=request_id, charged_nanos=charged, should_cost_nanos=nanos)


async def correct(world: World, *corrections: pb.ChargeCorrection, **arguments: Any) -> list[pb.CorrectionResult]:
    values: dict[str, Any] = {"price_version_id": VERSION, "description": WHY} | arguments
    return list((await world.stub.CorrectCharges(pb.CorrectChargesRequest(corrections=corrections, **values))).results)


def summary(results: list[pb.CorrectionResult]) -> list[tuple[str, int, int]]:
    """Outcome, cost before, and amount of each."""
    return [
        (
            pb.CorrectionOutcome.Name(result.outcome).removeprefix("CORRECTION_OUTCOME_"),
            result.cost_nanos,
            result.amount_nanos,
        )
        for result in results
    ]


async def charged(world: World, owner: Owner, nanos: int = CENT, **arguments: Any) -> str:
    """A request that is charged."""
    charge = owner.charge(nanos, **arguments)
    assert await world.settle(charge) == ["BOOKED"]
    return charge.request_id


async def get_charges(world: World, owner: Owner, request_id: str) -> list[pb.RequestTransaction]:
    request = pb.GetChargesRequest(account_id=owner.account_id, request_id=request_id)
    return list((await world.stub.GetCharges(request)).transactions)


async def test_the_ledger_tells_a_request_its_charge_revision_and_correction(world: World) -> None:
    owner = await world.owner()
    lease_id = await world.lease(owner, 5 * CENT)
    charge = owner.charge(3 * CENT, lease_id=lease_id)
    revision = owner.charge(-CENT, lease_id=lease_id, request_id=charge.request_id, revision=2)
    assert await world.settle(charge, revision) == ["BOOKED", "BOOKED"]
    await correct(world, should_cost(charge.request_id, CENT, charged=2 * CENT), actor_id=owner.account_id)
    rows = await get_charges(world, owner, charge.request_id)
    assert [(row.revision, row.transaction.kind, row.transaction.amount_nanos) for row in rows] == [
        (1, pb.TRANSACTION_KIND_CHARGE, -3 * CENT),
        (2, pb.TRANSACTION_KIND_CHARGE, CENT),
        (0, pb.TRANSACTION_KIND_ADJUSTMENT, CENT),
    ]
    assert [(row.lease_id, row.price_version_id, row.absorbed_nanos) for row in rows] == [
        (lease_id, charge.price_version_id, 0),
        (lease_id, revision.price_version_id, 0),
        ("", VERSION, 0),
    ]
    expected = pb.Transaction(
        id=rows[2].transaction.id,
        kind=pb.TRANSACTION_KIND_ADJUSTMENT,
        amount_nanos=CENT,
        description=WHY,
        request_id=charge.request_id,
        api_key_id=owner.api_key_id,
        actor_id=owner.account_id,
    )
    expected.create_time.FromDatetime(NOW)
    assert rows[2].transaction == expected
    assert [row.transaction for row in reversed(rows)] == list(await world.transactions(owner))[:3]


async def test_nobody_is_told_of_anybody_elses_charge_and_nothing_of_one_that_is_not_booked(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    request_id = await charged(world, owner)
    assert await get_charges(world, other, request_id) == []
    assert await get_charges(world, owner, some_id()) == []


async def test_what_the_house_bore_of_a_charge_is_told(world: World) -> None:
    owner = await world.owner(CENT)
    (row,) = await get_charges(world, owner, await charged(world, owner, 3 * CENT))
    assert (row.transaction.amount_nanos, row.absorbed_nanos) == (-CENT, 2 * CENT)


@pytest.mark.parametrize("cost", [0, CENT // 2, 3 * CENT])
async def test_a_correction_makes_the_request_cost_what_it_should_and_a_second_one_changes_nothing(
    world: World, cost: int
) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    assert summary(await correct(world, should_cost(request_id, cost))) == [("BOOKED", CENT, CENT - cost)]
    before = list(await world.transactions(owner))
    assert summary(await correct(world, should_cost(request_id, cost))) == [("UNCHANGED", cost, 0)]
    assert list(await world.transactions(owner)) == before
    assert await world.amounts(owner) == (USD - cost, 0)
    assert await world.house("adjustments") == cost - CENT
    assert await world.spend(owner) == CENT


async def test_a_price_can_be_changed_there_and_back_again(world: World) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    for cost in (2 * CENT, CENT, 2 * CENT):
        await correct(world, should_cost(request_id, cost), price_version_id=some_id())
    assert await world.amounts(owner) == (USD - 2 * CENT, 0)
    assert len(await get_charges(world, owner, request_id)) == 4


async def test_a_charge_that_is_right_is_left_alone(world: World) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    assert summary(await correct(world, should_cost(request_id, CENT))) == [("UNCHANGED", CENT, 0)]
    assert len(await get_charges(world, owner, request_id)) == 1


async def test_nothing_is_corrected_before_all_of_the_charge_is_booked(world: World) -> None:
    owner = await world.owner()
    half_booked = await charged(world, owner)
    results = await correct(world, should_cost(some_id(), 0), should_cost(half_booked, 0, charged=2 * CENT))
    assert summary(results) == [("PENDING", 0, 0), ("PENDING", CENT, 0)]
    assert await world.amounts(owner) == (USD - CENT, 0)


async def test_a_correction_takes_no_more_than_is_available_and_does_not_hold_up_the_others(world: World) -> None:
    poor, rich = await world.owner(3 * CENT), await world.owner()
    requests = [await charged(world, owner) for owner in (poor, poor, rich)]
    await world.lease(poor, CENT // 2)
    results = await correct(
        world,
        should_cost(requests[0], 2 * CENT),
        should_cost(requests[1], CENT + 1),
        should_cost(requests[2], 2 * CENT),
    )
    assert summary(results) == [("INSUFFICIENT_FUNDS", CENT, -CENT), ("BOOKED", CENT, -1), ("BOOKED", CENT, -CENT)]
    assert await world.amounts(poor) == (CENT - 1, CENT // 2)
    assert await world.amounts(rich) == (USD - 2 * CENT, 0)


async def test_what_the_house_bore_is_not_given_back_to_the_customer(world: World) -> None:
    owner = await world.owner(2 * CENT)
    request_id = await charged(world, owner, 3 * CENT)
    for cost, given in ((2 * CENT, 0), (CENT, CENT), (CENT, 0)):
        ((_, _, amount),) = summary(await correct(world, should_cost(request_id, cost, charged=3 * CENT)))
        assert amount == given
    assert await world.amounts(owner) == (CENT, 0)


async def test_a_dry_run_says_the_same_and_books_nothing(world: World) -> None:
    owner = await world.owner(4 * CENT)
    requests = [await charged(world, owner) for _ in range(3)]
    before = await world.amounts(owner), list(await world.transactions(owner))
    wanted = [should_cost(request_id, 2 * CENT) for request_id in requests]
    first = await correct(world, *wanted[:2], dry_run=True)
    taken = [pb.AccountChangeNanos(account_id=owner.account_id, amount_nanos=-CENT)]
    second = await correct(world, *wanted[2:], dry_run=True, dry_run_changes=taken)
    assert (await world.amounts(owner), list(await world.transactions(owner))) == before
    assert [first[0].account_id, second[0].account_id] == [owner.account_id] * 2
    assert summary([*first, *second]) == summary(await correct(world, *wanted))
    assert [name for name, *_ in summary(first + second)] == ["BOOKED", "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"]


async def test_the_same_corrections_at_the_same_time_are_booked_once(world: World) -> None:
    owners = [await world.owner() for _ in range(3)]
    wanted = [should_cost(await charged(world, owner), CENT // 2) for owner in owners for _ in range(5)]
    results = await asyncio.gather(*(correct(world, *turn) for turn in (wanted, wanted[::-1], wanted, wanted[::-1])))
    outcomes = [name for each in results for name, *_ in summary(each)]
    assert (outcomes.count("BOOKED"), outcomes.count("UNCHANGED")) == (15, 45)
    assert [await world.amounts(owner) for owner in owners] == [(USD - 5 * CENT // 2, 0)] * 3


async def test_a_late_revision_of_the_charge_is_corrected_by_the_next_call(world: World) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    await correct(world, should_cost(request_id, 2 * CENT))
    await world.settle(owner.charge(CENT, request_id=request_id, revision=2))
    results = await correct(world, should_cost(request_id, 4 * CENT, charged=2 * CENT))
    assert summary(results) == [("BOOKED", 3 * CENT, -CENT)]
    assert await world.amounts(owner) == (USD - 4 * CENT, 0)


async def test_credit_that_comes_by_a_correction_is_announced(world: World) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    await correct(world, should_cost(request_id, 0))
    changes = await world.stub.ListAccountChanges(pb.ListAccountChangesRequest(after_sequence=0))
    assert [change.account_id for change in changes.changes][-1] == owner.account_id


@pytest.mark.parametrize(
    "correction",
    [
        pb.ChargeCorrection(request_id="nonsense", charged_nanos=1),
        should_cost(some_id(), -1),
        should_cost(some_id(), 0, charged=0),
        should_cost(some_id(), 2**63 - 1),
    ],
    ids=["no id", "negative", "nothing charged", "absurd"],
)
async def test_a_correction_that_makes_no_sense_does_not_hold_up_the_others(
    world: World, correction: pb.ChargeCorrection
) -> None:
    request_id = await charged(world, await world.owner())
    results = await correct(world, correction, should_cost(request_id, 0))
    assert summary(results) == [("INVALID", 0, 0), ("BOOKED", CENT, CENT)]


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"corrections": [should_cost(VERSION, 0)] * 2}, "corrections"),
        ({"corrections": [should_cost(some_id(), 0) for _ in range(1_001)]}, "corrections"),
        ({"price_version_id": ""}, "price_version_id"),
        ({"description": ""}, "description"),
        ({"actor_id": "me"}, "actor_id"),
        ({"dry_run": True, "dry_run_changes": [pb.AccountChangeNanos(account_id="x")]}, "account_id"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(world: World, arguments: dict[str, Any], field: str) -> None:
    values: dict[str, Any] = {"corrections": [], "price_version_id": VERSION, "description": WHY} | arguments
    with pytest.raises(RemoteError) as refused:
        await world.stub.CorrectCharges(pb.CorrectChargesRequest(**values))
    assert (refused.value.code, refused.value.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, {"field": field})


async def test_only_a_charge_can_have_a_revision(world: World) -> None:
    owner = await world.owner()
    request_id = await charged(world, owner)
    await correct(world, should_cost(request_id, 0))
    with pytest.raises(asyncpg.CheckViolationError):
        await world.admin.execute("UPDATE billing.ledger_transactions SET revision = 2 WHERE kind = 'adjustment'")
