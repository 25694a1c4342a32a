"""What operators read of all accounts: transactions, sums of credit, the ledger's totals, and who did what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest

from kit.errors import RemoteError
from kit.timestamps import to_proto
from privaterouter.audit.v1.audit_pb2 import AuditChange, AuditEvent
from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.test_corrections import VERSION, WHY, charged, correct, should_cost
from tests.services.billing.test_credits import adjust, top_up
from tests.services.billing.world import CENT, NOW, USD, World, some_id


async def audited(world: World, **filters: Any) -> list[AuditEvent]:
    """Events, newest first, without their ids."""
    events = list((await world.stub.ListAuditEvents(pb.ListAuditEventsRequest(**filters))).events)
    for event in events:
        event.ClearField("id")
    return events


async def test_transactions_of_all_accounts_are_listed_newest_first(world: World) -> None:
    first, second = await world.owner(), await world.owner(2 * USD)
    await top_up(world, first, 10 * USD)
    found = await world.stub.ListAllTransactions(pb.ListAllTransactionsRequest())
    assert found.total == 3
    assert [(row.account_id, row.transaction.kind, row.transaction.amount_nanos) for row in found.transactions] == [
        (first.account_id, pb.TRANSACTION_KIND_TOP_UP, 10 * USD),
        (second.account_id, pb.TRANSACTION_KIND_PLAN_CREDIT, 2 * USD),
        (first.account_id, pb.TRANSACTION_KIND_PLAN_CREDIT, USD),
    ]
    for request, total in (
        (pb.ListAllTransactionsRequest(kind=pb.TRANSACTION_KIND_TOP_UP), 1),
        (pb.ListAllTransactionsRequest(account_id=second.account_id), 1),
        (pb.ListAllTransactionsRequest(account_id=some_id()), 0),
        (pb.ListAllTransactionsRequest(kind=pb.TRANSACTION_KIND_PLAN_CREDIT, account_id=first.account_id), 1),
    ):
        found = await world.stub.ListAllTransactions(request)
        assert (found.total, len(found.transactions)) == (total, total)


async def test_credit_is_summed_by_what_it_was_given_for(world: World) -> None:
    begin = datetime.now(UTC) - timedelta(seconds=1)
    owner = await world.owner()
    await top_up(world, owner, 10 * USD)
    await adjust(world, owner, 3 * USD)
    await adjust(world, owner, -2 * USD, key="second")
    await correct(world, should_cost(await charged(world, owner), 0))
    end = datetime.now(UTC) + timedelta(seconds=1)

    async def sums(begin: datetime, end: datetime) -> pb.SumCreditsResponse:
        return await world.stub.SumCredits(pb.SumCreditsRequest(from_time=to_proto(begin), to_time=to_proto(end)))

    assert await sums(begin, end) == pb.SumCreditsResponse(top_up_nanos=10 * USD, granted_nanos=4 * USD)
    assert await sums(begin - timedelta(days=1), begin) == pb.SumCreditsResponse()
    with pytest.raises(RemoteError) as caught:
        await world.stub.SumCredits(pb.SumCreditsRequest(from_time=to_proto(begin)))
    assert (caught.value.code, caught.value.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, {"field": "to_time"})


async def test_the_ledgers_totals_sum_to_nothing(world: World) -> None:
    assert await world.stub.GetLedgerTotals(pb.GetLedgerTotalsRequest()) == pb.GetLedgerTotalsResponse()
    owner = await world.owner()
    await top_up(world, owner, 10 * USD)
    await adjust(world, owner, 3 * USD)
    await world.settle(owner.charge(15 * USD))
    totals = await world.stub.GetLedgerTotals(pb.GetLedgerTotalsRequest())
    assert totals == pb.GetLedgerTotalsResponse(
        revenue_nanos=15 * USD,
        promo_nanos=-USD,
        cash_nanos=-10 * USD,
        adjustments_nanos=-3 * USD,
        absorbed_nanos=-USD,
    )
    assert sum(value for _, value in totals.ListFields()) == 0


async def test_what_operators_do_is_in_the_audit_log_once(world: World) -> None:
    owner, actor = await world.owner(), some_id()
    for _ in range(2):
        plan = pb.ChangePlanRequest(account_id=owner.account_id, plan_id="starter", actor_id=actor, reason="by mail")
        await world.stub.ChangePlan(plan)
        transaction_id = (await adjust(world, owner, 3 * USD, actor_id=actor)).transaction.id
    request_id = await charged(world, owner)
    for _ in range(2):
        await correct(world, should_cost(request_id, 0), dry_run=True)
        await correct(world, should_cost(request_id, 0))
    now, account = to_proto(NOW), {"subject_kind": "account", "subject_id": owner.account_id}
    changed = AuditEvent(
        create_time=now,
        actor_id=actor,
        action="plan.changed",
        reason="by mail",
        details={
            "plan_id": AuditChange(old="free", new="starter"),
            "granted_nanos": AuditChange(new=str(12 * USD)),
        },
        **account,
    )
    adjusted = AuditEvent(
        create_time=now,
        actor_id=actor,
        action="balance.adjusted",
        reason="goodwill",
        details={
            "amount_nanos": AuditChange(new=str(3 * USD)),
            "transaction_id": AuditChange(new=transaction_id),
        },
        **account,
    )
    corrected = AuditEvent(
        create_time=now,
        action="charges.corrected",
        subject_kind="price_version",
        subject_id=VERSION,
        details={
            "description": AuditChange(new=WHY),
            "corrections": AuditChange(new="1"),
            "accounts": AuditChange(new="1"),
            "amount_nanos": AuditChange(new=str(CENT)),
        },
    )
    assert await audited(world) == [corrected, adjusted, changed]
    assert await audited(world, subject_id=owner.account_id) == [adjusted, changed]
    assert await audited(world, action="plan.changed", actor_id=actor) == [changed]
    assert await audited(world, actor_id=some_id()) == []


async def test_what_is_refused_is_not_in_the_audit_log_and_nothing_in_it_can_be_changed(world: World) -> None:
    owner = await world.owner()
    with pytest.raises(RemoteError):
        await adjust(world, owner, -2 * USD)
    assert await audited(world) == []
    await adjust(world, owner, USD)
    async with world.admin.transaction():
        await world.admin.execute("SET LOCAL ROLE privaterouter_billing")
        for statement in ("UPDATE billing.audit_events SET reason = ''", "DELETE FROM billing.audit_events"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.admin.transaction():
                    await world.admin.execute(statement)
