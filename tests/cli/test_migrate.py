"""Migrating: everything the first time, nothing the second, and what is missing in between."""

import subprocess
import sys
from typing import Any

import asyncpg
import pytest

from cli.errors import CommandError
from cli.migrate import MigrateSettings, migrate
from deploy.local.settings import SERVICES
from kit import dsn, migrations, revisions
from tests.support.databases import APP_SECRET, Databases


def settings(url: str, **values: Any) -> MigrateSettings:
    return MigrateSettings.model_validate({"database_url": url, "app_secret_key": APP_SECRET, **values})


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_revision_is_the_one_that_alembic_finds(service: str) -> None:
    assert revisions.history(service).newest == migrations.head(service) is not None


async def test_an_empty_database_is_migrated_once(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    url = await databases.fresh()
    await migrate(settings(url))
    assert [line.split(" to ")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"{service}: migrating" for service in SERVICES
    ]
    for service in SERVICES:
        assert await migrations.current(service, url) == migrations.head(service)
        await (await asyncpg.connect(dsn.service_url(url, service, APP_SECRET))).close()
    await migrate(settings(url))
    assert [line.split(" (")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"{service}: up to date" for service in SERVICES
    ]


async def test_one_service_that_is_behind_is_brought_up(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await databases.fresh("auth", "catalog", "usage")
    await migrate(settings(url))
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "up to date" not in line] == [
        f"billing: migrating to {migrations.head('billing')} ..."
    ]
    assert len(told) == len(SERVICES)


async def test_a_new_secret_gives_the_roles_new_passwords(databases: Databases) -> None:
    other = "another secret than the one of the tests, 0123456789"
    url = await databases.fresh("auth", "catalog", "billing", "usage")
    await migrate(settings(url, app_secret_key=other))
    try:
        for service in SERVICES:
            await (await asyncpg.connect(dsn.service_url(url, service, other))).close()
    finally:
        # Roles belong to the whole server.
        await migrate(settings(url))


async def test_a_role_with_an_address_of_its_own_keeps_its_password(databases: Databases) -> None:
    url = await databases.fresh("auth", "catalog", "billing", "usage")
    own = {f"{service}_database_url": "postgresql://x" for service in SERVICES}
    await migrate(settings(url, app_secret_key="another secret than the one of the tests, 0123456789", **own))
    for service in SERVICES:
        await (await asyncpg.connect(dsn.service_url(url, service, APP_SECRET))).close()


async def test_a_database_that_a_newer_release_has_migrated_is_left_alone(databases: Databases) -> None:
    url = await databases.fresh("billing")
    admin = await databases.admin(url)
    await admin.execute("UPDATE billing.alembic_version SET version_num = '20991231_billing_1'")
    with pytest.raises(CommandError, match="billing is at 20991231_billing_1, which this release does not know"):
        await migrate(settings(url))
    assert await migrations.current("auth", url) is None  # though its turn comes first


def test_a_database_that_cannot_be_reached_is_one_line() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "cli.migrate"],
        env={
            "DATABASE_URL": "postgresql://owner:hidden@127.0.0.1:9/x",
            "APP_SECRET_KEY": "0123456789abcdef" * 4,
            "START_WITHIN_S": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith("Gave up after 0 s: PostgreSQL at 127.0.0.1:9 cannot be reached")
    assert "hidden" not in answer.stderr
