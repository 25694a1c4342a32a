"""R4 between the real services: clean after real traffic, and each corruption is found by its own check only."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import grpc
import pytest

from kit.errors import RemoteError
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import intake
from services.usage.reconcile import BEGINNING, Check, Key, compare
from services.usage.watch import Watch
from tests.services.billing.test_audit import UNGUARDED, verify
from tests.services.billing.world import USD, Owner
from tests.support.money_services import COST, MoneyServices, make_id

LEFT = pb.ReconcileLeasesRequest()


def told(mismatch: pb.ReconciliationMismatch) -> tuple[str, str, int, int, str]:
    check = pb.ReconciliationCheck.Name(mismatch.check).removeprefix("RECONCILIATION_CHECK_")
    return check, mismatch.subject, mismatch.expected_nanos, mismatch.actual_nanos, mismatch.detail


async def traffic(money: MoneyServices) -> tuple[Owner, str]:
    """Charges of two customers, settled; one of them, and one of their requests."""
    owner, other = await money.owner(), await money.owner()
    await money.record(other, 3)
    (request_id, *_) = await money.record(owner, 4)
    await money.record(owner, cost_nanos=0)
    await money.settled()
    return owner, request_id


async def test_real_traffic_agrees_in_pages_of_any_size(money: MoneyServices) -> None:
    await traffic(money)
    money.catch_up()
    for limit in (1, 2, 3, 1_000):
        assert await money.reconcile(limit=limit) == (7, 7, [])
    assert await money.reconcile(from_time=datetime.now(UTC) - timedelta(minutes=11)) == (7, 7, [])
    assert await money.reconcile(from_time=datetime.now(UTC) - timedelta(minutes=9)) == (0, 0, [])
    assert (await verify(money.world))[1] == []


async def test_records_younger_than_a_minute_are_not_compared(money: MoneyServices) -> None:
    money.catch_up()
    owner = await money.owner()
    await money.record(owner)
    assert await money.reconcile() == (0, 0, [])


async def test_what_waits_for_billing_or_was_refused_by_it_is_no_mismatch(money: MoneyServices) -> None:
    stranger = Owner(make_id())
    await money.record(stranger)
    await money.settled()
    await money.close()
    await money.record(await money.owner(), 2)
    money.catch_up()
    assert await money.reconcile(limit=10) == (3, 0, [])
    answer = await money.usage.ReconcileLeases(LEFT)
    assert (answer.waiting_charges, answer.parked_charges, answer.open_records, answer.idle) == (2, 1, 0, False)
    assert answer.HasField("oldest_waiting_time")


@pytest.mark.parametrize("cost_nanos, records", [(COST // 2, 1), (COST + 1, 1), (0, 0)])
async def test_a_revised_request_agrees_before_and_after_its_difference_is_booked(
    money: MoneyServices, cost_nanos: int, records: int
) -> None:
    owner = await money.owner()
    (request_id,) = await money.record(owner, status=pb.USAGE_STATUS_OPEN, finish_reason="")
    async with money.usage_database.transaction() as connection:
        assert await intake.end_open_records(connection, UUID(owner.worker_id), now=money.clock()) == 1
    await money.settled()
    await money.close()
    await money.record(owner, request_id=request_id, cost_nanos=cost_nanos)
    money.catch_up()
    assert await money.reconcile() == (records, 1, [])
    await money.settled()
    assert await money.reconcile() == (records, 1, [])
    assert await money.world.amounts(owner) == (USD - cost_nanos, 0)


class LateBilling:
    """Answers a while after usage was read, when more has been recorded and charged."""

    def __init__(self, money: MoneyServices) -> None:
        self._stub = money.world.stub

    async def ListCharges(
        self, request: billing_pb2.ListChargesRequest, timeout: float
    ) -> billing_pb2.ListChargesResponse:
        await asyncio.sleep(0.05)
        return await self._stub.ListCharges(request, timeout=timeout)


async def test_nothing_is_taken_for_wrong_while_charges_are_on_their_way(money: MoneyServices) -> None:
    owner = await money.owner()
    await money.settled()

    sent = 0

    async def use() -> None:
        nonlocal sent
        while not enough.is_set():
            sent += len(await money.record(owner, 5))

    enough = asyncio.Event()
    using = asyncio.create_task(use())
    late = cast("BillingServiceStub", LateBilling(money))
    in_future = datetime.now(UTC) + timedelta(hours=1)
    compared = 0
    for _ in range(6):
        key: Key | None = BEGINNING
        while key:
            page = await compare(money.usage_database, late, key, to_time=in_future, limit=200)
            assert page.mismatches == []
            compared, key = compared + page.records, page.next_key
        assert (await verify(money.world, limit=500))[1] == []
    enough.set()
    await using
    await money.settled()
    assert compared > 0
    money.catch_up()
    assert await money.reconcile(limit=500) == (sent, sent, [])


Spoil = Callable[[MoneyServices, Owner, str], Awaitable[tuple[int, int, str]]]


async def change_charge(money: MoneyServices, owner: Owner, request_id: str, nanos: int) -> None:
    """Takes so much more for a request, in books that are right in themselves."""
    for statement in (
        """
        UPDATE billing.ledger_entries
        SET amount_nanos = amount_nanos - $2 * CASE account_kind WHEN 'customer' THEN 1 ELSE -1 END
        WHERE transaction_id = (SELECT id FROM billing.ledger_transactions WHERE request_id = $1::text::uuid)
        """,
        "UPDATE billing.ledger_transactions SET amount_nanos = amount_nanos - $2 WHERE request_id = $1::text::uuid",
    ):
        await money.admin.execute(statement, request_id, nanos)
    await give(money, owner, -nanos)
    await uncharge(money, owner, -nanos)


async def uncharge(money: MoneyServices, owner: Owner, nanos: int) -> None:
    await money.admin.execute(
        "UPDATE billing.key_months SET charged_nanos = charged_nanos - $2 WHERE api_key_id = $1::text::uuid",
        owner.api_key_id,
        nanos,
    )


async def give(money: MoneyServices, owner: Owner, nanos: int) -> None:
    await money.admin.execute(
        "UPDATE billing.accounts SET posted_nanos = posted_nanos + $2 WHERE account_id = $1::text::uuid",
        owner.account_id,
        nanos,
    )


async def a_charge_is_lost(money: MoneyServices, owner: Owner, request_id: str) -> tuple[int, int, str]:
    """As a commit that the database forgot: the books are right in themselves."""
    for table, column in (("ledger_entries", "transaction_id"), ("ledger_transactions", "id")):
        await money.admin.execute(
            f"DELETE FROM billing.{table} WHERE {column} IN"
            " (SELECT id FROM billing.ledger_transactions WHERE request_id = $1::text::uuid)",
            request_id,
        )
    await give(money, owner, COST)
    await uncharge(money, owner, COST)
    return COST, 0, "used, but not charged and not on its way"


async def a_record_is_lost(money: MoneyServices, owner: Owner, request_id: str) -> tuple[int, int, str]:
    await money.admin.execute("DELETE FROM usage.usage_records WHERE request_id = $1::text::uuid", request_id)
    return 0, COST, "charged, but usage has no final record of it"


async def a_charge_has_another_amount(money: MoneyServices, owner: Owner, request_id: str) -> tuple[int, int, str]:
    await change_charge(money, owner, request_id, 1)
    return COST, COST + 1, "what was charged is not what the record costs"


async def a_record_has_another_cost(money: MoneyServices, owner: Owner, request_id: str) -> tuple[int, int, str]:
    await money.admin.execute(
        "UPDATE usage.usage_records SET cost_nanos = cost_nanos - 1 WHERE request_id = $1::text::uuid", request_id
    )
    return COST - 1, COST, "what was charged is not what the record costs"


async def a_charge_is_in_another_account(money: MoneyServices, owner: Owner, request_id: str) -> tuple[int, int, str]:
    other = await money.owner()
    charge = await money.admin.fetchval(
        "UPDATE billing.ledger_transactions SET account_id = $2::text::uuid WHERE request_id = $1::text::uuid"
        " RETURNING id",
        request_id,
        other.account_id,
    )
    await money.admin.execute(
        "UPDATE billing.ledger_entries SET account_id = $2::text::uuid"
        " WHERE transaction_id = $1 AND account_kind = 'customer'",
        charge,
        other.account_id,
    )
    await give(money, owner, COST)
    await give(money, other, -COST)
    return COST, COST, "charged to another account"


SPOILS: list[Spoil] = [
    a_charge_is_lost,
    a_record_is_lost,
    a_charge_has_another_amount,
    a_record_has_another_cost,
    a_charge_is_in_another_account,
]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
async def test_a_difference_is_found_by_r4_and_by_no_other_check(money: MoneyServices, spoil: Spoil) -> None:
    owner, request_id = await traffic(money)
    await money.admin.execute(UNGUARDED)
    expected = await spoil(money, owner, request_id)
    money.catch_up()
    for limit in (1, 3, 1_000):
        _, _, found = await money.reconcile(limit=limit)
        assert [told(mismatch) for mismatch in found] == [("CHARGES", f"request/{request_id}", *expected)]
    assert (await verify(money.world))[1] == []
    assert not (await money.usage.ReconcileLeases(LEFT)).mismatches


async def test_the_watch_tells_of_a_lost_charge_until_it_is_put_right(money: MoneyServices) -> None:
    owner, request_id = await traffic(money)
    money.catch_up()
    watch = Watch(money.usage_database, money.world.stub, money.left_leases, now=money.clock)
    assert await watch.check() == []
    await money.admin.execute(UNGUARDED)
    await change_charge(money, owner, request_id, 5)
    watch = Watch(money.usage_database, money.world.stub, money.left_leases, now=money.clock)
    for _ in range(3):
        (found,) = await watch.check()
        assert (found.check, found.subject) == (Check.CHARGES, f"request/{request_id}")
    await change_charge(money, owner, request_id, -5)
    assert await watch.check() == []
    # It has moved on: what is that old is left to `privaterouter reconcile`.
    await change_charge(money, owner, request_id, 5)
    assert await watch.check() == []


async def test_the_watch_compares_late_what_was_settled_late(money: MoneyServices) -> None:
    owner = await money.owner()
    (request_id,) = await money.record(owner)
    money.catch_up()
    watch = Watch(money.usage_database, money.world.stub, money.left_leases, now=money.clock)
    assert await watch.check() == []
    await money.settled()
    await money.admin.execute(UNGUARDED)
    await change_charge(money, owner, request_id, 5)
    (found,) = await watch.check()
    assert found.subject == f"request/{request_id}"


async def test_a_token_that_is_none_of_ours_is_refused(money: MoneyServices) -> None:
    for request in (
        pb.ReconcileChargesRequest(page_token="nonsense"),
        pb.ReconcileChargesRequest(limit=5_001),
        pb.ReconcileChargesRequest(page_token=f"{datetime.now(UTC).isoformat()}/x"),
    ):
        with pytest.raises(RemoteError) as caught:
            await money.usage.ReconcileCharges(request)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_page_is_not_moved_by_time_that_goes_on(money: MoneyServices) -> None:
    await traffic(money)
    end = to_proto(datetime.now(UTC) - timedelta(minutes=20))
    answer = await money.usage.ReconcileCharges(pb.ReconcileChargesRequest(to_time=end))
    assert (answer.records, answer.charges, answer.to_time) == (0, 0, end)
