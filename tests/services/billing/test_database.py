"""What the database itself refuses, should the code ever be wrong."""

import asyncpg
import pytest

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


@pytest.mark.parametrize("table", ["accounts", "key_months", "leases", "account_changes"])
async def test_nothing_is_deleted(world: World, databases: Databases, table: str) -> None:
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
    ],
)
async def test_the_audit_of_these_tests_finds_what_is_spoilt(unaudited: World, corruption: str, found: str) -> None:
    owner = await unaudited.owner(USD)
    lease_id = await unaudited.lease(owner, 10 * CENT)
    await unaudited.settle(owner.charge(CENT, lease_id=lease_id))
    assert not any((await audit(unaudited.admin)).values())
    await unaudited.admin.execute(corruption)
    assert any(rows and name.startswith(found) for name, rows in (await audit(unaudited.admin)).items())
