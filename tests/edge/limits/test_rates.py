"""What a plan and a key allow: requests and tokens a minute, and requests at the same time."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from edge.limits.buckets import Buckets
from edge.limits.rates import AT_ONCE, KEY, PLAN, REQUESTS, TOKENS, Admission, Rates, Refusal
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Plan
from tests.support.waiting import eventually

CALLER = Caller("key", "account", None, frozenset(), None, None, virtual_key="")
PLAN_OF_7 = Plan("p", "p", 0, 0, 7, all_models=True, allowed_models=frozenset(), monthly_quota_tokens=None, position=0)


@pytest.fixture
async def rates(redis_url: str) -> AsyncIterator[Rates]:
    buckets = Buckets(redis_url)
    yield Rates(buckets)
    await buckets.close()


class Asking:
    """Asks as one caller on one plan, each time with another id."""

    def __init__(self, rates: Rates, plan: Plan, caller: Caller = CALLER) -> None:
        self.rates = rates
        self.plan = plan
        self.caller = caller
        self.number = 0

    async def __call__(self, tokens: int = 0) -> Admission:
        self.number += 1
        request_id = f"{id(self)}-{self.number}"
        return await self.rates.admit(self.caller, self.plan, request_id=request_id, tokens=tokens)

    def key(self, name: str, **changes: Any) -> "Asking":
        """The same with another key."""
        return Asking(self.rates, self.plan, replace(CALLER, api_key_id=name, **changes))


def plan(**changes: Any) -> Plan:
    return replace(PLAN_OF_7, **changes)


async def test_an_account_gets_its_rpm_at_once_and_no_more(rates: Rates) -> None:
    ask = Asking(rates, plan())
    answers = [await ask() for _ in range(8)]
    assert [answer.allowed for answer in answers] == [True] * 7 + [False]
    assert [answer.requests.remaining for answer in answers] == [6, 5, 4, 3, 2, 1, 0, 0]
    assert {answer.requests.limit for answer in answers} == {7}
    assert {answer.tokens for answer in answers} == {None}
    refusal = answers[-1].refusal
    assert refusal is not None
    assert (refusal.what, refusal.whose, refusal.limit) == (REQUESTS, PLAN, 7)
    assert 0 < refusal.retry_after_s <= 60 / 7
    assert 60 - 60 / 7 < answers[-1].requests.reset_s <= 60


async def test_what_has_come_back_can_be_used(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=600))
    began_s = time.monotonic()
    answer = await ask()
    for _ in range(599):
        answer = await ask()
    assert answer.requests.remaining <= 10 * (time.monotonic() - began_s) + 1
    while answer.allowed:
        answer = await ask()
    assert answer.requests.retry_after_s <= 0.1

    async def again() -> bool:
        return (await ask()).allowed

    await eventually(again, within_s=1.0)


async def test_account_and_key_must_both_allow_and_neither_pays_for_the_others_refusal(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=5))
    narrow, other, wide = ask.key("narrow", rpm_limit=2), ask.key("other"), ask.key("wide", rpm_limit=100)
    for _ in range(2):
        assert (await narrow()).allowed
    refused = await narrow()
    assert refused.refusal == Refusal(REQUESTS, KEY, 2, refused.requests.retry_after_s)
    assert (refused.requests.limit, refused.requests.remaining) == (2, 0)
    # The account's bucket has lost two, not three.
    assert (await other()).requests.remaining == 2
    for _ in range(2):
        assert (await wide()).allowed
    refused = await wide()
    assert refused.refusal
    assert (refused.refusal.whose, refused.requests.limit) == (PLAN, 5)
    # Nor has the key's bucket lost anything to the account's refusal.
    rich = Asking(rates, plan(rpm=1_000), replace(wide.caller, account_id="another"))
    assert (await rich()).requests.remaining == 97


async def test_the_numbers_are_those_of_the_bucket_with_the_least_left(rates: Rates) -> None:
    answer = await Asking(rates, plan(rpm=100), replace(CALLER, rpm_limit=10))()
    assert (answer.requests.limit, answer.requests.remaining) == (10, 9)
    other = replace(CALLER, account_id="2", api_key_id="2", rpm_limit=10)
    answer = await Asking(rates, plan(rpm=5), other)()
    assert (answer.requests.limit, answer.requests.remaining) == (5, 4)


async def test_a_changed_limit_keeps_what_share_was_used(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=20))
    for _ in range(10):
        await ask()
    answer = await Asking(rates, plan(rpm=200))()
    assert 98 <= answer.requests.remaining <= 100


async def test_a_limit_of_0_refuses(rates: Rates) -> None:
    answer = await Asking(rates, plan(rpm=0))()
    assert answer.refusal == Refusal(REQUESTS, PLAN, 0, 60.0)
    assert (answer.requests.limit, answer.requests.remaining) == (0, 0)
    answer = await Asking(rates, plan(tpm=0))(1)
    assert answer.refusal == Refusal(TOKENS, PLAN, 0, 60.0)
    answer = await Asking(rates, plan(max_in_flight=0))()
    assert answer.refusal == Refusal(AT_ONCE, PLAN, 0, 1.0)


async def test_tokens_are_taken_by_what_a_request_may_use_and_the_rest_comes_back(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=1000, tpm=1_000_000))
    first = await ask(900_000)
    assert first.tokens
    assert first.tokens.limit == 1_000_000
    assert 100_000 <= first.tokens.remaining < 150_000
    refused = await ask(900_000)
    assert refused.refusal
    assert (refused.refusal.what, refused.refusal.whose, refused.refusal.limit) == (TOKENS, PLAN, 1_000_000)
    assert 40 < refused.refusal.retry_after_s <= 48
    # A refused request has used none of the requests a minute.
    assert refused.requests.remaining == 999
    rates.release(first, 10_000)
    second = await ask(900_000)
    assert second.tokens
    assert 90_000 <= second.tokens.remaining < 150_000
    rates.release(second, 10_000_000)
    assert not (await ask(200_000)).allowed


async def test_a_key_has_a_bucket_of_tokens_of_its_own(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=1000, tpm=1_000_000)).key("narrow", tpm_limit=100_000)
    first = await ask(500_000)
    assert first.tokens
    # All of the key's bucket, half of the account's: the one with the least left is shown.
    assert (first.tokens.limit, first.tokens.remaining) == (100_000, 0)
    refused = await ask(500_000)
    assert refused.refusal
    assert (refused.refusal.what, refused.refusal.whose, refused.refusal.limit) == (TOKENS, KEY, 100_000)
    rates.release(first, 60_000)
    third = await ask(40_000)
    assert third.tokens
    assert third.tokens.limit == 100_000
    # What was settled with the account is what was used as well.
    assert (await ask.key("other")(900_000)).allowed


async def test_only_so_many_run_at_the_same_time(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=1000, max_in_flight=3))
    narrow = ask.key("narrow", max_in_flight=1)
    first = await narrow()
    refused = await narrow()
    assert refused.refusal == Refusal(AT_ONCE, KEY, 1, 1.0)
    assert refused.requests.remaining == 999
    assert (await ask()).allowed
    assert (await ask()).allowed
    assert (await ask()).refusal == Refusal(AT_ONCE, PLAN, 3, 1.0)
    rates.release(first, 0)
    assert (await narrow()).allowed


async def test_a_second_release_does_nothing(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=1000, tpm=1_000_000, max_in_flight=2))
    first, second = await ask(500_000), await ask(500_000)
    for _ in range(5):
        rates.release(first, 0)
    third = await ask(400_000)
    assert third.allowed
    assert (await ask()).refusal == Refusal(AT_ONCE, PLAN, 2, 1.0)
    rates.release(second, 0)
    rates.release(third, 0)


async def test_what_is_only_counted_takes_no_tokens_and_no_slot(rates: Rates) -> None:
    ask = Asking(rates, plan(rpm=4, tpm=10, max_in_flight=1))
    for left in (3, 2, 1):
        counted = await rates.count(ask.caller, ask.plan)
        assert (counted.allowed, counted.requests.remaining, counted.tokens) == (True, left, None)
    assert (await ask(10)).allowed
    assert (await rates.count(ask.caller, ask.plan)).refusal is not None
