"""Credit that comes and goes by people: top-ups, adjustments, and the list of transactions."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product

import grpc
import pytest

from kit.errors import RemoteError
from kit.timestamps import from_proto, to_proto
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, NOW, USD, Owner, World, some_id


async def top_up(world: World, owner: Owner, nanos: int, key: str = "first") -> pb.TopUpResponse:
    request = pb.TopUpRequest(account_id=owner.account_id, amount_nanos=nanos, idempotency_key=key)
    return await world.stub.TopUp(request)


async def adjust(
    world: World, owner: Owner, nanos: int, *, key: str = "first", reason: str = "goodwill", actor_id: str = ""
) -> pb.AdjustBalanceResponse:
    request = pb.AdjustBalanceRequest(
        account_id=owner.account_id, amount_nanos=nanos, reason=reason, actor_id=actor_id, idempotency_key=key
    )
    return await world.stub.AdjustBalance(request)


async def list_transactions(
    world: World,
    owner: Owner,
    *,
    limit: int = 0,
    offset: int = 0,
    kinds: tuple[pb.TransactionKind.ValueType, ...] = (),
) -> pb.ListTransactionsResponse:
    request = pb.ListTransactionsRequest(account_id=owner.account_id, limit=limit, offset=offset, kinds=kinds)
    return await world.stub.ListTransactions(request)


@pytest.mark.parametrize("dollars", [10, 25, 50, 100, 500])
async def test_a_top_up_adds_what_was_paid(world: World, dollars: int) -> None:
    owner = await world.owner()
    answer = await top_up(world, owner, dollars * USD)
    assert answer.account.posted_nanos == (1 + dollars) * USD
    expected = pb.Transaction(
        id=answer.transaction.id, kind=pb.TRANSACTION_KIND_TOP_UP, amount_nanos=dollars * USD, description="Top-up"
    )
    expected.create_time.FromDatetime(NOW)
    assert answer.transaction == expected
    assert (await world.transactions(owner))[0] == expected
    assert await world.house("cash") == -dollars * USD


@pytest.mark.parametrize("nanos", [0, -10 * USD, 1, 10 * USD + 1, 11 * USD, 1_000 * USD, 2**63 - 1, -(2**63)])
async def test_other_amounts_cannot_be_paid(world: World, nanos: int) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await top_up(world, owner, nanos)
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_AMOUNT")
    assert error.metadata == {"field": "amount_nanos"}
    assert await world.amounts(owner) == (USD, 0)


async def test_a_second_top_up_with_the_same_key_is_not_booked_again(world: World) -> None:
    owner = await world.owner()
    first = await top_up(world, owner, 10 * USD)
    await world.settle(owner.charge(CENT))
    again = await top_up(world, owner, 10 * USD)
    assert again.transaction == first.transaction
    assert again.account.posted_nanos == 11 * USD - CENT
    assert (await top_up(world, owner, 10 * USD, "second")).account.posted_nanos == 21 * USD - CENT


async def test_twenty_calls_with_one_key_at_once_are_one_top_up(world: World) -> None:
    owner = await world.owner()
    answers = await asyncio.gather(*(top_up(world, owner, 25 * USD) for _ in range(20)))
    assert len({answer.transaction.id for answer in answers}) == 1
    assert await world.amounts(owner) == (26 * USD, 0)


async def test_a_key_belongs_to_one_amount_of_one_account(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    await top_up(world, owner, 10 * USD)
    with pytest.raises(RemoteError) as caught:
        await top_up(world, owner, 25 * USD)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    await top_up(world, other, 25 * USD)
    await adjust(world, owner, CENT)
    assert await world.amounts(owner) == (11 * USD + CENT, 0)
    assert await world.amounts(other) == (26 * USD, 0)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
async def test_a_key_has_1_to_255_characters(world: World, key: str) -> None:
    owner = await world.owner()
    for call in (top_up(world, owner, 10 * USD, key), adjust(world, owner, CENT, key=key)):
        with pytest.raises(RemoteError) as caught:
            await call
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.metadata == {"field": "idempotency_key"}
    assert await world.amounts(owner) == (USD, 0)
    await top_up(world, owner, 10 * USD, "é" * 255)


async def test_an_unopened_account_takes_no_credit(world: World) -> None:
    stranger = Owner(some_id())
    for call in (top_up(world, stranger, 10 * USD), adjust(world, stranger, CENT)):
        with pytest.raises(RemoteError) as caught:
            await call
        assert caught.value.reason == "ACCOUNT_NOT_FOUND"


async def test_an_adjustment_adds_and_takes_with_its_reason_and_actor(world: World) -> None:
    owner = await world.owner()
    actor_id = some_id()
    added = await adjust(world, owner, 5 * CENT, actor_id=actor_id)
    assert added.account.posted_nanos == USD + 5 * CENT
    expected = pb.Transaction(
        id=added.transaction.id,
        kind=pb.TRANSACTION_KIND_ADJUSTMENT,
        amount_nanos=5 * CENT,
        description="goodwill",
        actor_id=actor_id,
    )
    expected.create_time.FromDatetime(NOW)
    assert added.transaction == expected
    taken = await adjust(world, owner, -USD, key="second", reason="mistake")
    assert (taken.account.posted_nanos, taken.transaction.amount_nanos) == (5 * CENT, -USD)
    assert await world.house("adjustments") == USD - 5 * CENT


async def test_no_more_is_taken_than_is_available(world: World) -> None:
    owner = await world.owner()
    await world.lease(owner, 30 * CENT)
    with pytest.raises(RemoteError) as caught:
        await adjust(world, owner, -70 * CENT - 1)
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_FUNDS")
    assert error.metadata == {"available_nanos": str(70 * CENT)}
    taken = await adjust(world, owner, -70 * CENT)
    assert (taken.account.posted_nanos, taken.account.leased_nanos) == (30 * CENT, 30 * CENT)
    # Repeated, it is the same adjustment, though nothing is available any more.
    assert (await adjust(world, owner, -70 * CENT)).transaction == taken.transaction


async def test_an_adjustments_key_belongs_to_its_amount_and_reason(world: World) -> None:
    owner = await world.owner()
    await adjust(world, owner, CENT)
    for call in (adjust(world, owner, 2 * CENT), adjust(world, owner, CENT, reason="another")):
        with pytest.raises(RemoteError) as caught:
            await call
        assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert await world.amounts(owner) == (USD + CENT, 0)


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
async def test_an_adjustment_needs_a_reason(world: World, reason: str) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await adjust(world, owner, CENT, reason=reason)
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REASON_REQUIRED")
    assert error.metadata == {"field": "reason"}


@pytest.mark.parametrize("nanos", [0, 2**63 - 1, -(2**63), 1_000_000 * USD + 1])
async def test_an_absurd_adjustment_is_refused(world: World, nanos: int) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await adjust(world, owner, nanos)
    assert (caught.value.reason, caught.value.metadata) == ("INVALID_AMOUNT", {"field": "amount_nanos"})


async def test_no_balance_grows_beyond_what_can_be_counted(world: World) -> None:
    owner = await world.owner(1_000_000_000 * USD - 5 * USD)
    with pytest.raises(RemoteError) as caught:
        await top_up(world, owner, 10 * USD)
    assert caught.value.reason == "INVALID_AMOUNT"
    assert len(await world.transactions(owner)) == 1


async def test_concurrent_takings_never_overdraw(world: World) -> None:
    owner = await world.owner(10 * CENT)
    answers = await asyncio.gather(
        *(adjust(world, owner, -CENT, key=str(number)) for number in range(20)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, RemoteError)]
    assert {error.reason for error in refused} == {"INSUFFICIENT_FUNDS"}
    assert len(refused) == 10
    assert await world.amounts(owner) == (0, 0)


async def test_transactions_are_listed_newest_first_in_pages_and_by_kind(world: World) -> None:
    owner, other = await world.owner(), await world.owner()
    await top_up(world, other, 10 * USD)
    await top_up(world, owner, 10 * USD)
    charges = [owner.charge(CENT * number) for number in range(1, 24)]
    await world.settle(*charges)
    everything = await list_transactions(world, owner, limit=200)
    assert everything.total == len(everything.transactions) == 25
    newest = everything.transactions[0]
    assert (newest.kind, newest.amount_nanos) == (pb.TRANSACTION_KIND_CHARGE, -23 * CENT)
    assert (newest.request_id, newest.api_key_id) == (charges[-1].request_id, owner.api_key_id)
    assert newest.description == "privaterouter/fast"
    ids = [transaction.id for transaction in everything.transactions]
    assert ids == sorted(ids, reverse=True)
    default = await list_transactions(world, owner)
    assert (list(default.transactions), default.total) == (list(everything.transactions)[:20], 25)
    rest = await list_transactions(world, owner, offset=20)
    assert (list(rest.transactions), rest.total) == (list(everything.transactions)[20:], 25)
    paid = await list_transactions(world, owner, kinds=(pb.TRANSACTION_KIND_TOP_UP, pb.TRANSACTION_KIND_PLAN_CREDIT))
    assert (list(paid.transactions), paid.total) == (list(everything.transactions)[23:], 2)
    for offset in range(20, 25):
        page = await list_transactions(world, owner, limit=3, offset=offset)
        assert (list(page.transactions), page.total) == (list(everything.transactions)[offset : offset + 3], 25)
    beyond = await list_transactions(world, owner, offset=25)
    assert beyond == pb.ListTransactionsResponse(total=25)


@pytest.mark.parametrize("fields", [{"limit": 1_001}, {"limit": -1}, {"offset": -1}])
async def test_a_bad_page_is_refused(world: World, fields: dict[str, int]) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await list_transactions(world, owner, **fields)  # type: ignore[arg-type]
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_kind_that_does_not_exist_is_refused(world: World) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError) as caught:
        await list_transactions(world, owner, kinds=(pb.TRANSACTION_KIND_UNSPECIFIED,))
    assert caught.value.metadata == {"field": "kinds"}


async def test_transactions_are_listed_by_time_and_before_an_id(world: World) -> None:
    # Ids are made with the time beside them, which lists rely on.
    world.clock.now = datetime.now(UTC)
    owner = await world.owner()
    for number in range(3):
        world.clock.now += timedelta(seconds=1)
        await top_up(world, owner, 10 * USD, key=str(number))
    everything = (await list_transactions(world, owner)).transactions
    request = pb.ListTransactionsRequest(account_id=owner.account_id, to_time=to_proto(world.clock.now))
    request.from_time.CopyFrom(to_proto(world.clock.now - timedelta(seconds=2)))
    found = await world.stub.ListTransactions(request)
    assert (list(found.transactions), found.total) == (list(everything[1:3]), 2)
    # Whichever part is counted: what is in the span, or what is not.
    moments = [None, *(world.clock.now + timedelta(seconds=seconds) for seconds in range(-5, 3))]
    for from_time, to_time in product(moments, moments):
        request = pb.ListTransactionsRequest(account_id=owner.account_id, limit=1)
        expected = [from_proto(row.create_time) for row in everything]
        if from_time:
            request.from_time.CopyFrom(to_proto(from_time))
            expected = [moment for moment in expected if moment >= from_time]
        if to_time:
            request.to_time.CopyFrom(to_proto(to_time))
            expected = [moment for moment in expected if moment < to_time]
        assert (await world.stub.ListTransactions(request)).total == len(expected), (from_time, to_time)
    before = pb.ListTransactionsRequest(account_id=owner.account_id, before_transaction_id=everything[1].id)
    found = await world.stub.ListTransactions(before)
    assert (list(found.transactions), found.total) == (list(everything[2:]), 0)
    before.offset = 1
    with pytest.raises(RemoteError) as caught:
        await world.stub.ListTransactions(before)
    assert (caught.value.code, caught.value.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, {"field": "offset"})
