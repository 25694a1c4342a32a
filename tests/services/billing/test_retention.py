"""Released leases and old changes are deleted, and neither the books nor anybody who asks notices."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from kit import migrations
from kit.database import Database
from kit.dsn import role_of, service_password
from kit.ids import lowest_id
from privaterouter.billing.v1 import billing_pb2 as pb
from services.billing import retention
from services.billing.retention import CHANGES_KEPT, LEASES_KEPT
from tests.services.billing.test_audit import verify
from tests.services.billing.world import CENT, NOW, Owner, World, some_id
from tests.support.databases import APP_SECRET, Databases
from tests.support.waiting import eventually

DAY = timedelta(days=1)
LATER = LEASES_KEPT + DAY
DELETED = 1_000 * 86_400 * 91
"""Of uptime, in milliseconds."""


@pytest.fixture
async def own(world: World, databases: Databases) -> Database:
    """Connected as billing's own role, which may do no more than it must."""
    return await databases.connect("billing", world.url)


async def delete_leases(own: Database, now: datetime) -> int:
    async with own.transaction() as connection:
        return await retention.delete_leases(connection, now)


async def delete_changes(own: Database, now: datetime) -> int:
    async with own.transaction() as connection:
        return await retention.delete_changes(connection, now)


def begun(moment: datetime) -> str:
    """The id of a lease that an edge begins at that moment."""
    return str(UUID(int=lowest_id(moment).int + UUID(some_id()).int % (1 << 60)))


async def lend(world: World, owner: Owner, *, at: datetime = NOW) -> str:
    (grant,) = await world.acquire(owner.worker_id, owner.wish(20 * CENT, lease_id=begun(at)))
    return grant.lease_id


async def wait_long(world: World) -> datetime:
    """Lets 91 days pass, in billing's uptime too; the time then."""
    world.clock.now += LATER
    await world.admin.execute("UPDATE billing.uptime SET uptime_ms = uptime_ms + $1", DELETED)
    return world.clock.now


async def leases(world: World) -> set[str]:
    return {str(row["lease_id"]) for row in await world.admin.fetch("SELECT lease_id FROM billing.leases")}


async def test_a_released_lease_goes_after_90_days_and_the_books_stay_right(world: World, own: Database) -> None:
    owner = await world.owner()
    gone, open_one, never_begun = await lend(world, owner), await lend(world, owner), begun(NOW)
    await world.settle(owner.charge(5 * CENT, lease_id=gone))
    await world.close(owner.worker_id, {gone: 5 * CENT, never_begun: 0})
    assert await delete_leases(own, NOW + LATER) == 0  # billing was not up for so long
    now = await wait_long(world)
    assert await delete_leases(own, NOW + LEASES_KEPT) == 0
    assert await delete_leases(own, now) == 2
    assert await leases(world) == {open_one}
    assert (await verify(world))[1] == []
    assert await world.amounts(owner) == (95 * CENT, 20 * CENT)
    # An edge that asks for it after all is told that it is gone; closing it again changes nothing.
    (state,) = await world.renew(owner.worker_id, {gone: 0})
    assert state.gone
    await world.close(owner.worker_id, {gone: 5 * CENT})
    assert await world.amounts(owner) == (95 * CENT, 20 * CENT)


async def test_a_charge_of_a_deleted_lease_is_booked_in_the_month_in_which_it_comes(
    world: World, own: Database
) -> None:
    owner = await world.owner()
    lease_id = await lend(world, owner)
    await world.close(owner.worker_id, {lease_id: 0})
    now = await wait_long(world)
    assert await delete_leases(own, now) == 1
    assert await world.settle(owner.charge(3 * CENT, lease_id=lease_id)) == ["BOOKED"]
    assert await world.amounts(owner) == (97 * CENT, 0)
    assert await world.spend(owner) == 3 * CENT
    assert (await verify(world))[1] == []


async def test_a_lease_that_was_charged_after_its_month_stays_since_the_books_need_it(
    world: World, own: Database
) -> None:
    world.clock.now = datetime(2026, 5, 31, 23, 59, 50, tzinfo=UTC)
    owner, prompt = await world.owner(), await world.owner()
    late, released = await lend(world, owner), await lend(world, owner)
    in_time = await lend(world, prompt)
    await world.settle(prompt.charge(CENT, lease_id=in_time))
    await world.close(owner.worker_id, {late: 2 * CENT, released: 0})
    await world.close(prompt.worker_id, {in_time: CENT})
    await world.pass_time(20)
    await world.settle(owner.charge(2 * CENT, lease_id=late), owner.charge(3 * CENT, lease_id=released))
    now = await wait_long(world)
    assert await delete_leases(own, now) == 1
    assert await leases(world) == {late, released}
    assert (await verify(world))[1] == []
    months = await world.admin.fetch("SELECT month, charged_nanos FROM billing.key_months WHERE charged_nanos <> 0")
    assert sorted((row["month"].month, row["charged_nanos"]) for row in months) == [(5, CENT), (5, 5 * CENT)]


async def test_a_lease_of_another_month_than_its_id_stays(world: World, own: Database) -> None:
    """The edge's clock was ahead: by the id, a charge of June would be in time, and the lease is of May."""
    world.clock.now = datetime(2026, 5, 31, 23, 59, 58, tzinfo=UTC)
    owner = await world.owner()
    lease_id = await lend(world, owner, at=datetime(2026, 6, 1, tzinfo=UTC))
    await world.pass_time(10)
    await world.settle(owner.charge(CENT, lease_id=lease_id))
    await world.close(owner.worker_id, {lease_id: CENT})
    assert await delete_leases(own, await wait_long(world)) == 0
    assert (await verify(world))[1] == []


async def test_a_charge_that_meets_the_deletion_is_told_to_come_again(world: World, own: Database) -> None:
    owner = await world.owner()
    lease_id = await lend(world, owner)
    await world.close(owner.worker_id, {lease_id: 0})
    now = await wait_long(world)
    async with own.transaction() as connection:
        assert await retention.delete_leases(connection, now) == 1
        settling = asyncio.create_task(world.settle(owner.charge(CENT, lease_id=lease_id)))
        await eventually(waits_for_a_lock(world.admin))
    # Repeated by the channel, since it is idempotent.
    assert await settling == ["BOOKED"]
    assert await world.spend(owner) == CENT


def waits_for_a_lock(admin: "asyncpg.Connection[asyncpg.Record]") -> Callable[[], Awaitable[bool]]:
    async def some() -> bool:
        return bool(
            await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )

    return some


async def test_the_last_change_stays_and_the_next_one_has_a_higher_number(world: World, own: Database) -> None:
    owner = await world.owner()

    async def change(plan_id: str) -> None:
        await world.stub.ChangePlan(pb.ChangePlanRequest(account_id=owner.account_id, plan_id=plan_id))

    async def changes(after: int) -> tuple[list[int], int]:
        answer = await world.stub.ListAccountChanges(pb.ListAccountChangesRequest(after_sequence=after))
        return [change.sequence for change in answer.changes], answer.last_sequence

    for plan_id in ("starter", "pro"):
        await change(plan_id)
    known, last = await changes(0)
    assert known[-1] == last
    assert await delete_changes(own, NOW + CHANGES_KEPT) == 0
    assert await delete_changes(own, NOW + CHANGES_KEPT + DAY) == len(known) - 1
    assert await changes(0) == ([last], last)
    await change("starter")
    assert await changes(last) == ([last + 1], last + 1)


async def test_the_migration_marks_what_was_charged_late_before_it(databases: Databases) -> None:
    url = await databases.fresh()
    await migrations.ensure_role(url, role_of("billing"), service_password("billing", APP_SECRET), "billing")
    await migrations.upgrade("billing", url, "20261128_billing_revision")
    admin = await databases.admin(url)
    account_id, api_key_id = UUID(some_id()), UUID(some_id())
    await admin.execute("INSERT INTO billing.accounts VALUES ($1, 'free', 0, 0, NULL, $2)", account_id, NOW)
    # Two of May, each charged in a month that it also would be found in without a lease: one of them is not.
    charged = {UUID(some_id()): NOW, UUID(some_id()): datetime(2026, 6, 1, tzinfo=UTC)}
    for lease_id, create_time in charged.items():
        await admin.execute(
            "INSERT INTO billing.leases VALUES ($1, $1, $2, $3, '2026-05-01', 'released', 5, 0, 5, 5, 0)",
            lease_id,
            account_id,
            api_key_id,
        )
        await admin.execute(
            """
            INSERT INTO billing.ledger_transactions
                (id, kind, account_id, amount_nanos, description, create_time, request_id, revision, api_key_id,
                 lease_id, record_time)
            VALUES ($1, 'charge', $2, -5, '', $3, $1, 1, $4, $5, $3)
            """,
            UUID(some_id()),
            account_id,
            create_time,
            api_key_id,
            lease_id,
        )
    await migrations.upgrade("billing", url)
    noted = {row["lease_id"] for row in await admin.fetch("SELECT lease_id FROM billing.late_leases")}
    assert [lease_id in noted for lease_id in charged] == [False, True]
