"""Plans of accounts."""

import asyncio

import pytest

from edge.errors import EdgeError
from edge.lookup.accounts import Accounts
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from tests.edge.lookup.world import Clock
from tests.support.fake_money import FakeBilling


@pytest.fixture
def accounts(billing_stub: BillingServiceStub, clock: Clock) -> Accounts:
    return Accounts(billing_stub, clock=clock)


async def test_plans_are_asked_for_in_one_call_and_remembered_for_30_s(
    billing: FakeBilling, accounts: Accounts, clock: Clock
) -> None:
    billing.plans = {"a": "free", "b": "pro"}
    assert await asyncio.gather(*(accounts.plan_id(each) for each in "abab")) == ["free", "pro", "free", "pro"]
    (call,) = billing.of(billing_pb2.BatchGetAccountsRequest)
    assert list(call.account_ids) == ["a", "b"]
    assert accounts.cached("b") == "pro"
    clock.now_s += 30.0
    assert accounts.cached("b") is None


async def test_an_account_that_is_not_opened_is_a_503_and_not_remembered(
    billing: FakeBilling, accounts: Accounts
) -> None:
    with pytest.raises(EdgeError) as caught:
        await accounts.plan_id("a")
    assert caught.value.code == "service_unavailable"
    billing.plans["a"] = "free"
    assert await accounts.plan_id("a") == "free"


async def test_a_silent_billing_is_a_503(billing: FakeBilling, accounts: Accounts) -> None:
    billing.plans["a"] = "free"
    billing.faults.away = True
    with pytest.raises(EdgeError) as caught:
        await accounts.plan_id("a")
    assert caught.value.code == "service_unavailable"


async def test_a_change_that_comes_while_billing_is_asked_is_not_missed(
    billing: FakeBilling, accounts: Accounts, clock: Clock
) -> None:
    billing.plans["a"] = "free"

    async def change() -> None:
        billing.faults.gate = None
        billing.plans["a"] = "pro"
        accounts.drop("a")
        clock.now_s += 0.1

    billing.faults.gate = change
    assert await accounts.plan_id("a") == "pro"
    assert accounts.cached("a") == "pro"
    accounts.drop("a")
    assert accounts.cached("a") is None
