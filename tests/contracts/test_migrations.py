"""Every service's migrations: they run, they end where its tables say, and grant only to its own role."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from kit import migrations
from kit.dsn import role_of
from tests.support.databases import Databases

ROOT = Path(__file__).parents[2]
SERVICES = migrations.services(ROOT / "alembic.ini")

every_service = pytest.mark.parametrize("service", SERVICES)


@every_service
async def test_the_tables_are_what_the_migrations_make(databases: Databases, service: str) -> None:
    url = await databases.fresh(service)
    assert await migrations.current(service, url) == migrations.head(service)
    assert await migrations.check(service, url) == []


@every_service
async def test_every_index_is_complete(databases: Databases, service: str) -> None:
    """Those that are built beside the traffic, or partition by partition, are of no use until their last step."""
    admin = await databases.admin(await databases.fresh(service))
    assert await admin.fetch("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []


@every_service
async def test_a_service_keeps_to_its_schema_and_its_role(databases: Databases, service: str) -> None:
    admin = await databases.admin(await databases.fresh(service))
    schemas = await admin.fetch(
        """
        SELECT DISTINCT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        """
    )
    assert [row["nspname"] for row in schemas] == [service]
    granted = await admin.fetch(
        """
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = $1 AND grantee <> current_user
        """,
        service,
    )
    assert [row["grantee"] for row in granted] == [role_of(service)]


@every_service
async def test_the_version_table_is_only_read_by_the_service(databases: Databases, service: str) -> None:
    admin = await databases.admin(await databases.fresh(service))
    for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        may = await admin.fetchval(
            "SELECT has_table_privilege($1, $2, $3)", role_of(service), f"{service}.alembic_version", privilege
        )
        assert may == (privilege == "SELECT"), privilege


@every_service
def test_the_files_are_named_by_date_and_sentence(service: str) -> None:
    names = [path.name for path in (ROOT / "services" / service / "migrations" / "versions").glob("*.py")]
    assert names
    assert [name for name in names if not re.fullmatch(r"20\d{6}_[a-z0-9]+(_[a-z0-9]+)+\.py", name)] == []


async def test_alembic_at_the_root_works_on_all_services(databases: Databases) -> None:
    url = await databases.fresh()
    first = alembic(url, "current")
    assert first.returncode == 0, first.stderr
    assert "(head)" not in first.stdout
    upgraded = alembic(url, "upgrade", "head")
    assert upgraded.returncode == 0, upgraded.stderr
    current = alembic(url, "current")
    assert re.findall(r"^(\w+):$", current.stdout, re.MULTILINE) == SERVICES
    assert current.stdout.count("(head)") == len(SERVICES)
    assert alembic(url, "check").returncode == 0
    for service in SERVICES:
        assert await migrations.current(service, url) == migrations.head(service)


async def test_alembic_check_fails_when_one_service_differs(databases: Databases) -> None:
    url = await databases.fresh(*SERVICES)
    admin = await databases.admin(url)
    await admin.execute(f"CREATE TABLE {SERVICES[-1]}.stray (id int)")
    checked = alembic(url, "check")
    assert checked.returncode != 0
    assert "stray" in checked.stdout + checked.stderr


def alembic(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [ROOT / ".venv" / "bin" / "alembic", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
