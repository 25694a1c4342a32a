"""All services in one database, as in production: the schemas and the roles stay apart."""

from pathlib import Path

from kit import migrations
from kit.dsn import role_of
from tests.support.databases import Databases

ROOT = Path(__file__).parents[2]
SERVICES = tuple(migrations.services(ROOT / "alembic.ini"))


def test_alembic_knows_every_service() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/migrations")}
    assert set(SERVICES) == folders == {"auth", "billing", "catalog", "usage"}


async def test_a_role_enters_its_own_schema_only_and_owns_nothing(databases: Databases) -> None:
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


async def test_no_role_of_a_service_has_powers_over_the_server(databases: Databases) -> None:
    admin = await databases.admin(await databases.fresh(*SERVICES))
    powers = await admin.fetch(
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = ANY($1)",
        [role_of(service) for service in SERVICES],
    )
    assert {tuple(row.values()) for row in powers} == {(role_of(service), False) for service in SERVICES}


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
    assert len(keys) > 0
    assert [row for row in keys if row["from_schema"] != row["to_schema"]] == []
