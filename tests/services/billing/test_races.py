"""Many callers on one small balance: no more is ever lent than there is, and what stands behind that."""

import asyncio

import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2 as pb
from services.billing import store
from tests.services.billing.world import CENT, USD, Owner, World, outcome, some_id
from tests.support.waiting import eventually


async def race(world: World, owner: Owner, acquirers: int = 32) -> int:
    """So many workers, each with a key of its own, want a cent at once; the number that got it."""
    racers = [Owner(owner.account_id) for _ in range(acquirers)]
    answers = await asyncio.gather(
        *(world.acquire(racer.worker_id, racer.wish(CENT)) for racer in racers), return_exceptions=True
    )
    for answer in answers:
        assert isinstance(answer, list | RemoteError)
    return sum(isinstance(answer, list) and outcome(answer[0]) == "GRANTED" for answer in answers)


def remove_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked = store.LOCK_ACCOUNTS.replace("FOR NO KEY UPDATE", "")
    assert unlocked != store.LOCK_ACCOUNTS
    monkeypatch.setattr(store, "LOCK_ACCOUNTS", unlocked)


def remove_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    unguarded = store.SAVE_ACCOUNTS.replace(store.GUARD, "true")
    assert unguarded != store.SAVE_ACCOUNTS
    monkeypatch.setattr(store, "SAVE_ACCOUNTS", unguarded)


async def remove_check(world: World) -> None:
    await world.admin.execute("ALTER TABLE billing.accounts DROP CONSTRAINT accounts_available_check")


async def test_parallel_acquirers_share_a_small_balance_to_the_last_cent(world: World) -> None:
    """Removing what stands behind this makes it fail: see the tests below."""
    owner = await world.owner(10 * CENT)
    assert await race(world, owner) == 10
    assert await world.amounts(owner) == (10 * CENT, 10 * CENT)


async def test_without_lock_guard_and_check_the_same_race_overspends(
    unaudited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant that shows that the race is one."""
    remove_lock(monkeypatch)
    remove_guard(monkeypatch)
    await remove_check(unaudited)
    owner = await unaudited.owner(10 * CENT)
    granted = await race(unaudited, owner)
    assert granted > 10
    assert await unaudited.amounts(owner) == (10 * CENT, granted * CENT)


@pytest.mark.parametrize("kept", ["lock", "guard", "check"])
async def test_lock_guard_and_check_each_stop_it_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    if kept != "lock":
        remove_lock(monkeypatch)
    if kept != "guard":
        remove_guard(monkeypatch)
    if kept != "check":
        await remove_check(world)
    owner = await world.owner(10 * CENT)
    granted = await race(world, owner, 16)
    assert 1 <= granted <= 10
    assert await world.amounts(owner) == (10 * CENT, granted * CENT)


async def test_parallel_acquirers_share_a_keys_month(world: World) -> None:
    owner = await world.owner()
    twins = [Owner(owner.account_id, api_key_id=owner.api_key_id) for _ in range(32)]
    answers = await asyncio.gather(*(world.acquire(twin.worker_id, twin.wish(CENT, limit=10 * CENT)) for twin in twins))
    outcomes = [outcome(grant) for (grant,) in answers]
    assert outcomes.count("GRANTED") == 10
    assert set(outcomes) == {"GRANTED", "CREDITS_IN_USE"}
    assert await world.amounts(owner) == (USD, 10 * CENT)


async def test_the_same_wish_sent_many_times_at_once_is_granted_once(world: World) -> None:
    owner = await world.owner()
    wish = owner.wish(10 * CENT)
    answers = await asyncio.gather(*(world.acquire(owner.worker_id, wish) for _ in range(20)))
    assert {grant.granted_nanos for (grant,) in answers} == {10 * CENT}
    assert await world.amounts(owner) == (USD, 10 * CENT)


async def test_a_lease_that_begins_while_it_is_closed_is_closed_in_the_end(world: World) -> None:
    owner = await world.owner()
    for _ in range(20):
        wish = owner.wish(CENT)
        await asyncio.gather(world.acquire(owner.worker_id, wish), world.close(owner.worker_id, {wish.lease_id: 0}))
        assert await world.amounts(owner) == (USD, 0)
        (late,) = await world.acquire(owner.worker_id, wish)
        assert outcome(late) == "LEASE_GONE"


async def test_lending_settling_returning_and_closing_at_once_neither_deadlock_nor_lose(world: World) -> None:
    """Accounts in every order, through every call that locks more than one row."""
    worker_id = some_id()
    owners = [Owner((await world.owner()).account_id, worker_id=worker_id) for _ in range(8)]
    leases = {owner.account_id: await world.lease(owner, 50 * CENT) for owner in owners}

    async def settle(order: list[Owner]) -> None:
        results = await world.settle(*(owner.charge(CENT, lease_id=leases[owner.account_id]) for owner in order))
        assert set(results) == {"BOOKED"}

    async def lend(order: list[Owner]) -> None:
        grants = await world.acquire(worker_id, *(owner.wish(CENT) for owner in order))
        assert {outcome(grant) for grant in grants} == {"GRANTED"}
        await world.renew(worker_id, {grant.lease_id: CENT // 2 for grant in grants})
        await world.close(worker_id, {grant.lease_id: 0 for grant in grants})

    orders = [owners, owners[::-1], owners[4:] + owners[:4]]
    await asyncio.gather(*(work(order) for order in orders for work in (settle, lend) for _ in range(4)))
    for owner in owners:
        assert await world.amounts(owner) == (88 * CENT, 38 * CENT)


async def test_a_lease_renewed_while_it_was_to_be_released_lives_on(world: World) -> None:
    """The release waits for the account; the renewal, which moves no money, does not."""
    owner = await world.owner()
    lease_id = await world.lease(owner, CENT)
    await world.pass_time(150)
    async with world.admin.transaction():
        await world.admin.execute("SELECT FROM billing.accounts FOR UPDATE")
        releasing = asyncio.create_task(world.expired(owner.worker_id))

        async def waits() -> bool:
            return bool(await world.admin.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

        await eventually(waits)
        (state,) = await world.renew(owner.worker_id, {lease_id: 0})
        assert not state.gone
    assert await releasing == []
    (state,) = await world.renew(owner.worker_id, {lease_id: 0})
    assert not state.gone
    assert await world.amounts(owner) == (USD, CENT)


async def test_a_call_that_finds_the_row_locked_for_long_says_unavailable(world: World) -> None:
    owner = await world.owner()
    async with world.admin.transaction():
        await world.admin.execute("SELECT FROM billing.accounts FOR UPDATE")
        request = pb.AcquireLeasesRequest(worker_id=owner.worker_id, wishes=[owner.wish(CENT)])
        with pytest.raises(RemoteError) as caught:
            await world.stub.AcquireLeases(request, timeout=4)
        assert caught.value.code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert await world.amounts(owner) == (USD, 0)
