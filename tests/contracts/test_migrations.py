"""What the migrations of all services keep to: they make what tables.py says, and keep the schemas apart."""

import re
from pathlib import Path

import pytest

from kit import migrations
from kit.dsn import role_of
from tests.support.databases import Databases

ROOT = Path(__file__).parents[2]
SERVICES = tuple(migrations.services(ROOT / "alembic.ini"))


def revisions(service: str) -> list[str]:
    return sorted(file.name for file in (ROOT / "services" / service / "migrations" / "versions").glob("*.py"))


def test_every_service_has_migrations() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/migrations")}
    assert set(SERVICES) == folders == {"auth", "billing", "catalog", "usage"}


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrated_database_is_what_tables_py_says(service: str, databases: Databases) -> None:
    url = await databases.fresh(service)
    assert await migrations.current(service, url) == migrations.head(service)
    assert await migrations.check(service, url) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_migrating_a_second_time_changes_nothing(service: str, databases: Databases) -> None:
    url = await databases.fresh(service)
    before = await migrations.current(service, url)
    await migrations.upgrade(service, url)
    assert await migrations.current(service, url) == before
    assert await migrations.check(service, url) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_is_named_by_its_date_and_a_sentence(service: str) -> None:
    names = revisions(service)
    assert names
    assert [name for name in names if not re.fullmatch(r"20\d{6}_[a-z0-9]+(_[a-z0-9]+)+\.py", name)] == []


async def test_a_role_reaches_its_own_schema_only_and_owns_nothing(databases: Databases) -> None:
    admin = await databases.admin(await databases.fresh(*SERVICES))
    reach = await admin.fetch(
        """
        SELECT role, schema, has_schema_privilege(role, schema, 'USAGE') AS enters,
               has_schema_privilege(role, schema, 'CREATE') AS creates,
               EXISTS (SELECT FROM pg_class WHERE relnamespace = schema::regnamespace
                       AND pg_get_userbyid(relowner) = role) AS owns
        FROM unnest($1::text[]) AS role, unnest($2::text[]) AS schema
        """,
        [role_of(service) for service in SERVICES],
        list(SERVICES),
    )
    assert {tuple(row.values()) for row in reach} == {
        (role_of(mine), schema, mine == schema, False, False) for mine in SERVICES for schema in SERVICES
    }
    powers = await admin.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND (rolsuper OR rolcreaterole OR rolcreatedb)",
        [role_of(service) for service in SERVICES],
    )
    assert powers == []


async def test_no_foreign_key_crosses_a_schema(databases: Databases) -> None:
    admin = await databases.admin(await databases.fresh(*SERVICES))
    keys = await admin.fetch(
        """
        SELECT conname, mine.relnamespace::regnamespace::text AS from_schema,
               theirs.relnamespace::regnamespace::text AS to_schema
        FROM pg_constraint
        JOIN pg_class mine ON mine.oid = conrelid
        JOIN pg_class theirs ON theirs.oid = confrelid
        WHERE contype = 'f'
        """
    )
    assert [row for row in keys if row["from_schema"] != row["to_schema"]] == []
    assert len(keys) > 0
