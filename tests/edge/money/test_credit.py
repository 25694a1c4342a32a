"""Holds: from free credit at once, else from billing, and what is said when there is no more."""

import asyncio
from typing import NamedTuple

import pytest

from edge.errors import EdgeError
from edge.money.holds import Hold
from privaterouter.billing.v1 import billing_pb2
from tests.edge.money.world import CENT, World, end, hold, lease_of, record, settled
from tests.support.waiting import eventually


async def test_a_hold_of_nothing_needs_no_lease_and_no_billing(world: World) -> None:
    world.billing.faults.away = True
    path = world.worker()
    tried = path.try_hold(account_id="a", api_key_id="k", full_nanos=0)
    given = await path.hold(account_id="a", api_key_id="k", monthly_limit_nanos=0, full_nanos=0, least_nanos=0)
    assert (tried and tried.lease, given.lease, given.nanos) == (None, None, 0)
    assert world.billing.calls == []


async def test_the_first_hold_asks_billing_and_the_next_are_served_from_free_credit(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    assert path.try_hold(account_id=account, api_key_id=account, full_nanos=CENT) is None
    first = await hold(path, account, CENT)
    second = path.try_hold(account_id=account, api_key_id=account, full_nanos=CENT)
    assert (first.nanos, second and second.nanos) == (CENT, CENT)
    (wish,) = world.billing.asked()
    # All that is needed, and as much again as cushion.
    assert (wish.needed_nanos, wish.wanted_nanos, wish.least_nanos) == (CENT, 2 * CENT, 1)
    assert lease_of(path, account).free == 0


async def test_all_that_wait_are_asked_for_in_one_call(world: World) -> None:
    accounts = [world.account(100 * CENT) for _ in range(5)]
    path = world.worker()
    holds = await asyncio.gather(*(hold(path, account, CENT) for account in accounts for _ in range(20)))
    assert {held.nanos for held in holds} == {CENT}
    calls = world.billing.of(billing_pb2.AcquireLeasesRequest)
    assert len(calls) == 1
    assert [wish.needed_nanos for wish in calls[0].wishes] == [20 * CENT] * 5


async def test_who_comes_during_a_call_goes_into_the_next(world: World) -> None:
    account = world.account(1_000 * CENT)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        arrived.set()
        await gate.wait()

    world.billing.faults.gate = wait
    path = world.worker()
    first = asyncio.create_task(hold(path, account, CENT))
    await arrived.wait()
    others = [asyncio.create_task(hold(path, account, 50 * CENT)) for _ in range(3)]
    await settled()
    gate.set()
    holds = await asyncio.gather(first, *others)
    assert [held.nanos for held in holds] == [CENT, 50 * CENT, 50 * CENT, 50 * CENT]
    assert len(world.billing.asked()) == 2


async def test_more_is_asked_for_in_the_background_when_half_of_the_cushion_is_used(world: World) -> None:
    account = world.account(1_000 * CENT)
    path = world.worker()
    await hold(path, account, 10 * CENT)
    assert path.try_hold(account_id=account, api_key_id=account, full_nanos=6 * CENT)
    lease = lease_of(path, account)
    await eventually(lambda: _true(lease.free == 16 * CENT), what="the peak of the holds as cushion")
    _, background = world.billing.asked()
    assert (background.needed_nanos, background.least_nanos, background.wanted_nanos) == (0, 0, 12 * CENT)


async def test_near_the_end_of_the_balance_a_smaller_hold_is_given(world: World) -> None:
    account = world.account(15 * CENT)
    path = world.worker(patience_s=0.0)
    assert (await hold(path, account, 10 * CENT)).nanos == 10 * CENT
    held = await hold(path, account, 10 * CENT, 2 * CENT)
    assert held.nanos == 5 * CENT
    assert lease_of(path, account).free == 0
    assert world.billing.available(account) == 0


async def test_alone_on_the_account_a_smaller_hold_comes_without_delay(world: World) -> None:
    account = world.account(5 * CENT)
    path = world.worker()
    held = await hold(path, account, 10 * CENT, CENT)
    assert held.nanos == 5 * CENT
    assert len(world.billing.asked()) == 1


async def test_an_empty_account_is_refused_with_402(world: World) -> None:
    account = world.account(999_999)
    with pytest.raises(EdgeError) as caught:
        await hold(world.worker(), account, 10)
    assert (caught.value.code, caught.value.status) == ("insufficient_credits", 402)
    assert "$0.000999999" in caught.value.message


async def test_less_than_the_least_useful_answer_is_refused_with_402(world: World) -> None:
    account = world.account(CENT)
    with pytest.raises(EdgeError) as caught:
        await hold(world.worker(), account, 10 * CENT, 2 * CENT)
    assert caught.value.code == "insufficient_credits"
    assert world.billing.available(account) == CENT


class Wants(NamedTuple):
    full_nanos: int
    least_nanos: int


async def test_what_was_refused_a_moment_ago_can_be_checked_without_asking(world: World) -> None:
    account, path = world.account(CENT), world.worker()

    def refused(full: int, least: int) -> str:
        try:
            path.check(account_id=account, api_key_id="key", monthly_limit_nanos=None, needs=Wants(full, least))
        except EdgeError as error:
            return error.code
        return ""

    assert not refused(10 * CENT, 2 * CENT)
    with pytest.raises(EdgeError):
        await hold(path, account, 10 * CENT, 2 * CENT, key="key")
    asked = len(world.billing.asked())
    assert refused(10 * CENT, 2 * CENT) == "insufficient_credits"
    # What costs less, or nothing, may be had.
    assert not refused(10 * CENT, CENT)
    assert not refused(0, 0)
    assert len(world.billing.asked()) == asked
    path.forget_refusals(account)
    assert not refused(10 * CENT, 2 * CENT)


async def test_a_lease_may_be_used_to_its_end_though_billing_would_give_no_more(world: World) -> None:
    account = world.account(CENT)
    path = world.worker()
    first = await hold(path, account, CENT)
    path.release(first)
    world.billing.posted[account] = 500_000  # under the floor of $0.001
    lease_of(path, account).give_back(400_000)
    assert (await hold(path, account, CENT, 100_000)).nanos == 400_000


async def test_a_key_at_its_monthly_limit_is_refused_with_402(world: World) -> None:
    account = world.account(100 * CENT)
    world.billing.charged["key"] = 4 * CENT
    with pytest.raises(EdgeError) as caught:
        await hold(world.worker(), account, 10 * CENT, 2 * CENT, key="key", limit=5 * CENT)
    assert caught.value.code == "key_limit_reached"
    assert "$0.05" in caught.value.message


async def test_credit_of_the_lease_counts_when_a_key_is_judged_against_its_limit(world: World) -> None:
    account = world.account(100 * CENT)
    world.billing.charged["key"] = 2 * CENT
    path = world.worker()
    path.release(await hold(path, account, 2 * CENT, key="key", limit=5 * CENT))  # 2 free, 5 - 2 unspent
    with pytest.raises(EdgeError) as caught:
        await hold(path, account, 10 * CENT, 4 * CENT, key="key", limit=5 * CENT)
    assert caught.value.code == "key_limit_reached"


async def test_money_that_running_requests_hold_is_a_429_with_retry_after(world: World) -> None:
    account = world.account(10 * CENT)
    path = world.worker()
    await hold(path, account, 10 * CENT)
    asking = asyncio.create_task(hold(path, account, 5 * CENT, 5 * CENT))
    await eventually(lambda: _true(len(world.billing.asked()) >= 2))

    async def is_over() -> bool:
        world.clock.now_s += 0.5  # patience begins with billing's answer, which may be on its way yet
        return asking.done()

    await eventually(is_over, what="the end of the patience")
    with pytest.raises(EdgeError) as caught:
        await asking
    assert (caught.value.code, caught.value.status, caught.value.headers) == (
        "credits_in_use",
        429,
        {"retry-after": "1"},
    )


async def test_who_others_are_quicker_than_is_no_poorer_for_it(world: World) -> None:
    """While billing is slow, newcomers take what was free; there is more where it came from, and so no 429."""
    account = world.account(1_000 * CENT)
    path = world.worker(max_cushion_nanos=0)
    path.release(await hold(path, account, 50 * CENT))
    taken: list[Hold | None] = []

    async def take() -> None:
        world.clock.now_s += 1
        if len(taken) < 3:
            taken.append(path.try_hold(account_id=account, api_key_id=account, full_nanos=40 * CENT))

    world.billing.faults.gate = take
    given = await hold(path, account, 100 * CENT)
    assert (given.nanos, [held and held.nanos for held in taken]) == (100 * CENT, [40 * CENT] * 3)


async def test_who_waits_is_served_at_once_when_a_running_request_ends(world: World) -> None:
    account = world.account(10 * CENT)
    path = world.worker()
    running = await hold(path, account, 10 * CENT)
    asking = asyncio.create_task(hold(path, account, 5 * CENT, 5 * CENT))
    await eventually(lambda: _true(len(world.billing.asked()) >= 2))
    made = record(account)
    path.open(running, made)
    await end(path, running, made, 3 * CENT)
    assert (await asking).nanos == 5 * CENT


async def test_a_402_is_remembered_for_a_second_at_most(world: World) -> None:
    account = world.account(0)
    path = world.worker()
    for _ in range(3):
        with pytest.raises(EdgeError):
            await hold(path, account, CENT, CENT)
    assert len(world.billing.asked()) == 1
    world.clock.now_s += 1.0
    world.billing.posted[account] = 10 * CENT
    assert (await hold(path, account, CENT, CENT)).nanos == CENT


async def test_a_402_is_forgotten_when_we_are_told_of_a_change(world: World) -> None:
    account = world.account(0)
    path = world.worker()
    with pytest.raises(EdgeError):
        await hold(path, account, CENT, CENT)
    world.billing.posted[account] = 10 * CENT
    path.forget_refusals(account)
    assert (await hold(path, account, CENT, CENT)).nanos == CENT


async def test_a_402_is_not_remembered_when_the_change_came_while_billing_was_asked(world: World) -> None:
    account = world.account(0)
    path = world.worker()

    async def top_up() -> None:
        path.forget_refusals(account)

    world.billing.faults.gate = top_up
    with pytest.raises(EdgeError):
        await hold(path, account, CENT, CENT)
    world.billing.posted[account] = 10 * CENT
    assert (await hold(path, account, CENT, CENT)).nanos == CENT


async def test_a_402_says_nothing_about_a_request_that_needs_less_or_another_limit(world: World) -> None:
    account = world.account(CENT)
    path = world.worker()
    with pytest.raises(EdgeError):
        await hold(path, account, 9 * CENT, 9 * CENT, limit=8 * CENT)
    with pytest.raises(EdgeError):
        await hold(path, account, 9 * CENT, 9 * CENT, limit=20 * CENT)
    assert len(world.billing.asked()) == 2
    assert (await hold(path, account, CENT, CENT, limit=20 * CENT)).nanos == CENT


async def test_an_account_that_is_not_opened_is_a_503(world: World) -> None:
    with pytest.raises(EdgeError) as caught:
        await hold(world.worker(), "nobody", CENT)
    assert (caught.value.code, caught.value.headers) == ("service_unavailable", {"retry-after": "1"})


async def test_who_leaves_while_waiting_takes_nothing_with_him(world: World) -> None:
    account = world.account(100 * CENT)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        arrived.set()
        await gate.wait()

    world.billing.faults.gate = wait
    path = world.worker()
    leaving = asyncio.create_task(hold(path, account, CENT))
    staying = asyncio.create_task(hold(path, account, CENT))
    await arrived.wait()
    leaving.cancel()
    gate.set()
    await staying
    assert leaving.cancelled() or leaving.cancelling()
    assert lease_of(path, account).held == CENT


async def test_who_leaves_just_when_the_hold_comes_gives_it_back(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    first = await hold(path, account, CENT)
    lease = lease_of(path, account)
    lease.give_back(0)
    asking = asyncio.create_task(hold(path, account, CENT))
    pot = path._book.find(account, account)
    assert pot
    await settled()
    (waiter,) = pot.waiters
    path.release(first)  # serves the waiter
    asking.cancel()  # before it could see it
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert waiter.future.result().nanos == CENT
    assert lease.held == 0


async def test_200_at_once_on_a_balance_for_50_get_exactly_50_full_holds(world: World) -> None:
    account = world.account(50 * CENT)
    path = world.worker(patience_s=0.0)
    answers = await asyncio.gather(*(hold(path, account, CENT, CENT) for _ in range(200)), return_exceptions=True)
    given = [answer for answer in answers if isinstance(answer, Hold)]
    refused = [answer for answer in answers if isinstance(answer, EdgeError)]
    assert [held.nanos for held in given] == [CENT] * 50
    assert {error.code for error in refused} == {"credits_in_use"}
    assert len(refused) == 150
    assert world.billing.available(account) == 0


async def test_keys_of_one_account_have_leases_of_their_own(world: World) -> None:
    account = world.account(100 * CENT)
    path = world.worker()
    one, other = await asyncio.gather(hold(path, account, CENT, key="one"), hold(path, account, CENT, key="other"))
    assert one.lease is not other.lease
    assert len(world.billing.of(billing_pb2.AcquireLeasesRequest)) == 1


async def test_credit_that_another_key_does_not_use_is_called_back_for_who_waits(world: World) -> None:
    account = world.account(20 * CENT)
    world.billing.cap_cushion = False
    path = world.worker(patience_s=5.0)
    path.release(await hold(path, account, 10 * CENT, key="idle"))
    assert world.billing.available(account) == 0
    # The clock stands still: patience never ends, only the recall can help.
    held = await asyncio.wait_for(hold(path, account, 15 * CENT, 1, key="busy"), 5)
    assert held.nanos == 15 * CENT
    idle = path._book.find(account, "idle")
    assert idle
    assert idle.lease
    assert (idle.lease.free, idle.lease.returned) == (0, 20 * CENT)


async def _true(value: bool) -> bool:
    return value
