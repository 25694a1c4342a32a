"""What the database itself refuses, should the code ever be wrong."""

import asyncio

import asyncpg
import pytest

from kit import migrations
from tests.services.billing.world import CENT, USD, World, audit
from tests.support.databases import Databases


async def service(world: World, databases: Databases) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection with the rights of the service's role."""
    return await databases.admin(databases.url_for("billing", world.url))


@pytest.mark.parametrize("table", ["ledger_transactions", "ledger_entries"])
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = account_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_the_ledger_is_append_only(world: World, databases: Databases, table: str, change: str) -> None:
    await world.owner()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await (await service(world, databases)).execute(change.format(f"billing.{table}"))


@pytest.mark.parametrize("table", ["accounts", "key_months", "ledger_sums"])
async def test_no_balance_is_deleted(world: World, databases: Databases, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await (await service(world, databases)).execute(f"DELETE FROM billing.{table}")


async def test_entries_that_do_not_sum_to_zero_are_refused(world: World, databases: Databases) -> None:
    owner = await world.owner()
    connection = await service(world, databases)
    unbalanced = """
        WITH added AS (
            INSERT INTO billing.ledger_transactions
                (id, kind, account_id, amount_nanos, description, create_time, external_ref)
            VALUES (gen_random_uuid(), 'top_up', $1, 5, 'x', now(), 'y') RETURNING id, account_id
        )
        INSERT INTO billing.ledger_entries
        SELECT id, 'customer', account_id, 5 FROM added UNION ALL SELECT id, 'cash', NULL, -4 FROM added
    """
    with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
        await connection.execute(unbalanced, owner.account_id)
    await connection.execute(unbalanced.replace("-4", "-5"), owner.account_id)
    await world.admin.execute("UPDATE billing.accounts SET posted_nanos = posted_nanos + 5")


@pytest.mark.parametrize(
    "statement, constraint",
    [
        ("UPDATE billing.accounts SET posted_nanos = leased_nanos - 1", "accounts_available_check"),
        ("UPDATE billing.accounts SET leased_nanos = posted_nanos + 1", "accounts_available_check"),
        ("UPDATE billing.accounts SET leased_nanos = -1", "accounts_leased_check"),
        ("UPDATE billing.accounts SET posted_nanos = -1, leased_nanos = -1", "accounts_leased_check"),
        ("UPDATE billing.leases SET settled_nanos = granted_nanos + 1", "leases_remainder_check"),
        ("UPDATE billing.leases SET state = 'released'", "leases_released_check"),
        ("UPDATE billing.leases SET account_id = NULL", "leases_owner_check"),
        ("UPDATE billing.key_months SET leased_nanos = -1", "key_months_leased_check"),
    ],
)
async def test_rows_that_cannot_be_true_are_refused(
    world: World, databases: Databases, statement: str, constraint: str
) -> None:
    owner = await world.owner()
    await world.lease(owner, CENT)
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await (await service(world, databases)).execute(statement)
    assert caught.value.constraint_name == constraint


@pytest.mark.parametrize(
    "corruption, found",
    [
        ("UPDATE billing.accounts SET posted_nanos = posted_nanos + 1", "R2"),
        ("UPDATE billing.accounts SET leased_nanos = leased_nanos + 1", "R3: leased of an account"),
        ("UPDATE billing.key_months SET leased_nanos = leased_nanos + 1", "R3: leased of a key"),
        ("UPDATE billing.key_months SET charged_nanos = charged_nanos + 1", "R2: charged of a key"),
        ("UPDATE billing.leases SET settled_nanos = settled_nanos + 1", "R3"),
        ("DELETE FROM billing.ledger_entries WHERE account_kind = 'revenue'", "R1: the entries"),
        ("DELETE FROM billing.ledger_entries", "R1: every transaction"),
        ("UPDATE billing.ledger_sums SET transactions = transactions + 1", "the sums of the ledger"),
    ],
)
async def test_the_audit_of_these_tests_finds_what_is_spoilt(unaudited: World, corruption: str, found: str) -> None:
    owner = await unaudited.owner(USD)
    lease_id = await unaudited.lease(owner, 10 * CENT)
    await unaudited.settle(owner.charge(CENT, lease_id=lease_id))
    assert not any((await audit(unaudited.admin)).values())
    await unaudited.admin.execute(corruption)
    assert any(rows and name.startswith(found) for name, rows in (await audit(unaudited.admin)).items())


ADD_ONE = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, external_ref)
SELECT gen_random_uuid(), 'top_up', account_id, 5, 'x', now(), gen_random_uuid()::text FROM billing.accounts
"""


async def test_the_ledger_is_summed_up_while_the_previous_release_goes_on_to_add(databases: Databases) -> None:
    url = await databases.fresh()
    await migrations.upgrade("billing", url, "20261128_billing_lists")
    admin = await databases.admin(url)
    await admin.execute(
        "INSERT INTO billing.accounts (account_id, plan_id, posted_nanos, leased_nanos, create_time)"
        " SELECT gen_random_uuid(), 'free', 0, 0, now() FROM generate_series(1, 3)"
    )
    await admin.execute(ADD_ONE)
    upgrading = asyncio.create_task(migrations.upgrade("billing", url))

    async def add(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        count = 0
        while not upgrading.done():
            async with connection.transaction():
                await connection.execute("SELECT FROM billing.accounts ORDER BY account_id FOR NO KEY UPDATE")
                await connection.execute(ADD_ONE)
            count += 1
        return count

    added = await asyncio.gather(*[add(await databases.admin(url)) for _ in range(2)])
    await upgrading
    await admin.execute(ADD_ONE)
    sums = await admin.fetch("SELECT kind, transactions, amount_nanos FROM billing.ledger_sums")
    assert [tuple(row) for row in sums] == [("top_up", sum(added) + 2, 5 * (sum(added) + 2))] * 3
