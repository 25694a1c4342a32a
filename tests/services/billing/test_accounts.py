"""Opening, reading and moving accounts."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest

from kit.errors import RemoteError, Unavailable
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, NOW, USD, Owner, World, some_id
from tests.support.waiting import eventually


async def open_account(world: World, account_id: str) -> pb.Account:
    return (await world.stub.OpenAccount(pb.OpenAccountRequest(account_id=account_id))).account


async def change_plan(world: World, owner: Owner, plan_id: str, **fields: str) -> pb.ChangePlanResponse:
    request = pb.ChangePlanRequest(account_id=owner.account_id, plan_id=plan_id, **fields)
    return await world.stub.ChangePlan(request)


async def changes(world: World, after: int) -> pb.ListAccountChangesResponse:
    return await world.stub.ListAccountChanges(pb.ListAccountChangesRequest(after_sequence=after))


async def test_an_account_opens_on_free_with_its_credits(world: World) -> None:
    account_id = some_id()
    expected = pb.Account(account_id=account_id, plan_id="free", posted_nanos=USD, leased_nanos=0)
    expected.create_time.FromDatetime(NOW)
    assert await open_account(world, account_id) == expected
    assert await world.account(Owner(account_id)) == expected
    (credit,) = await world.transactions(Owner(account_id))
    assert (credit.kind, credit.amount_nanos) == (pb.TRANSACTION_KIND_PLAN_CREDIT, USD)
    assert credit.description == "Included credits of Free"
    assert await world.house("promo") == -USD


async def test_opening_twice_changes_nothing_and_asks_nobody(world: World) -> None:
    account_id = some_id()
    opened = await open_account(world, account_id)
    world.catalog.error = RuntimeError("must not be asked")
    assert await open_account(world, account_id) == opened
    assert len((await changes(world, 0)).changes) == 1


async def test_ten_openings_at_once_grant_one_credit(world: World) -> None:
    account_id = some_id()
    opened = await asyncio.gather(*(open_account(world, account_id) for _ in range(10)))
    assert {account.posted_nanos for account in opened} == {USD}
    assert len(await world.transactions(Owner(account_id))) == 1


async def test_an_account_cannot_open_while_the_catalogue_is_silent(world: World) -> None:
    account_id = some_id()
    world.catalog.error = Unavailable("away")
    with pytest.raises(RemoteError) as caught:
        await open_account(world, account_id)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    world.catalog.error = None
    assert (await open_account(world, account_id)).posted_nanos == USD


async def test_a_plan_without_credits_books_nothing(world: World) -> None:
    owner = await world.owner(0)
    assert await world.amounts(owner) == (0, 0)
    assert await world.transactions(owner) == []


async def test_unknown_accounts_are_not_found_or_left_out(world: World) -> None:
    stranger = Owner(some_id())
    calls = (
        world.stub.GetBalance(pb.GetBalanceRequest(account_id=stranger.account_id)),
        world.stub.ListTransactions(pb.ListTransactionsRequest(account_id=stranger.account_id)),
        change_plan(world, stranger, "pro"),
    )
    for call in calls:
        with pytest.raises(RemoteError) as caught:
            await call
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    owner = await world.owner()
    answer = await world.stub.BatchGetAccounts(
        pb.BatchGetAccountsRequest(account_ids=[stranger.account_id, owner.account_id])
    )
    assert list(answer.accounts) == [await world.account(owner)]


@pytest.mark.parametrize("account_id", ["", "42", "x" * 36, "'; DROP TABLE billing.accounts; --"])
async def test_an_id_that_is_none_is_an_invalid_argument(world: World, account_id: str) -> None:
    calls = (
        world.stub.OpenAccount(pb.OpenAccountRequest(account_id=account_id)),
        world.stub.GetBalance(pb.GetBalanceRequest(account_id=account_id)),
        world.stub.BatchGetAccounts(pb.BatchGetAccountsRequest(account_ids=[account_id])),
        world.stub.ListTransactions(pb.ListTransactionsRequest(account_id=account_id)),
        world.stub.ChangePlan(pb.ChangePlanRequest(account_id=account_id, plan_id="pro")),
        world.stub.BatchGetKeySpend(pb.BatchGetKeySpendRequest(api_key_ids=[account_id])),
        world.stub.RenewLeases(pb.RenewLeasesRequest(worker_id=account_id)),
        world.stub.CloseLeases(pb.CloseLeasesRequest(worker_id=account_id)),
        world.stub.SettleCharges(pb.SettleChargesRequest(drained_worker_ids=[account_id])),
    )
    for call in calls:
        with pytest.raises(RemoteError) as caught:
            await call
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_plan_change_grants_its_credits_once_a_month(world: World) -> None:
    owner = await world.owner()
    actor_id = some_id()
    first = await change_plan(world, owner, "starter", actor_id=actor_id, reason="asked by mail")
    assert (first.account.plan_id, first.account.posted_nanos, first.granted_nanos) == ("starter", 13 * USD, 12 * USD)
    newest = (await world.transactions(owner))[0]
    assert (newest.kind, newest.amount_nanos, newest.actor_id) == (
        pb.TRANSACTION_KIND_PLAN_CREDIT,
        12 * USD,
        actor_id,
    )
    assert newest.description == "Included credits of Starter (asked by mail)"
    again = await change_plan(world, owner, "starter", actor_id=actor_id)
    assert (again.account.posted_nanos, again.granted_nanos) == (13 * USD, 0)
    other = await change_plan(world, owner, "pro")
    assert (other.account.plan_id, other.account.posted_nanos, other.granted_nanos) == ("pro", 38 * USD, 25 * USD)
    back = await change_plan(world, owner, "starter")
    assert (back.account.plan_id, back.account.posted_nanos, back.granted_nanos) == ("starter", 38 * USD, 0)
    world.clock.now = datetime(2026, 6, 1, tzinfo=UTC)
    june = await change_plan(world, owner, "starter")
    assert (june.account.posted_nanos, june.granted_nanos) == (50 * USD, 12 * USD)


async def test_going_back_to_free_never_grants_again(world: World) -> None:
    owner = await world.owner()
    await change_plan(world, owner, "pro")
    world.clock.now = datetime(2027, 1, 1, tzinfo=UTC)
    back = await change_plan(world, owner, "free")
    assert (back.account.plan_id, back.account.posted_nanos, back.granted_nanos) == ("free", 26 * USD, 0)


async def test_ten_plan_changes_at_once_grant_one_credit(world: World) -> None:
    owner = await world.owner()
    answers = await asyncio.gather(*(change_plan(world, owner, "pro") for _ in range(10)))
    assert sorted(answer.granted_nanos for answer in answers) == [0] * 9 + [25 * USD]
    assert await world.amounts(owner) == (26 * USD, 0)


async def test_an_unknown_plan_changes_nothing(world: World) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await change_plan(world, owner, "gold")
    error = caught.value
    assert (error.code, error.reason, error.domain) == (
        grpc.StatusCode.NOT_FOUND,
        "PLAN_NOT_FOUND",
        "billing.privaterouter",
    )
    assert (await world.account(owner)).plan_id == "free"


async def test_changes_are_listed_in_order_and_announced(world: World) -> None:
    assert await changes(world, -1) == pb.ListAccountChangesResponse(last_sequence=0)
    first, second = await world.owner(), await world.owner()
    await change_plan(world, first, "pro")
    await change_plan(world, first, "pro")
    lease_id = await world.lease(second, CENT)
    await world.settle(second.charge(CENT, lease_id=lease_id))
    everything = await changes(world, 0)
    assert [change.account_id for change in everything.changes] == [
        first.account_id,
        second.account_id,
        first.account_id,
    ]
    sequences = [change.sequence for change in everything.changes]
    assert sequences == sorted(set(sequences))
    assert sequences[0] >= 1
    assert everything.last_sequence == sequences[-1]
    assert list((await changes(world, sequences[1])).changes) == list(everything.changes)[2:]
    assert await changes(world, -1) == pb.ListAccountChangesResponse(last_sequence=sequences[-1])
    batch = await world.stub.BatchGetAccounts(pb.BatchGetAccountsRequest(account_ids=[first.account_id]))
    assert batch.change_sequence == sequences[-1]

    async def announced() -> bool:
        return len(world.bus.hints) == 3

    await eventually(announced)
    assert world.bus.hints == [
        ("accounts", {"account_id": change.account_id, "kind": "changed"}) for change in everything.changes
    ]


async def test_a_change_is_never_visible_before_a_lower_one(world: World) -> None:
    """The second of two changes waits for the first to commit, so no reader can skip the first."""
    first, second = await world.owner(), await world.owner()
    last = (await changes(world, -1)).last_sequence
    async with world.admin.transaction():
        await world.admin.execute(
            "SELECT pg_advisory_xact_lock(5730461928)",
        )
        await world.admin.execute(
            "INSERT INTO billing.account_changes (account_id, create_time) VALUES ($1, now())", first.account_id
        )
        overtaking = asyncio.create_task(change_plan(world, second, "pro"))

        async def waits() -> bool:
            found: bool = await world.admin.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
            )
            return found

        await eventually(waits)
        assert (await changes(world, -1)).last_sequence == last
    await overtaking
    seen = [change.account_id for change in (await changes(world, last)).changes]
    assert seen == [first.account_id, second.account_id]


async def test_a_sequence_below_the_list_is_refused(world: World) -> None:
    with pytest.raises(RemoteError) as caught:
        await changes(world, -2)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
