"""Migrations of one service: schema, role, versions, and the comparison with its tables."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from kit import dsn, migrations
from tests.support.databases import Databases


async def test_upgrade_makes_schema_role_and_tables_and_can_be_repeated(databases: Databases, sample: Path) -> None:
    url = await databases.fresh()
    assert await migrations.current("sample", url) is None
    await migrations.upgrade("sample", url)
    assert await migrations.current("sample", url) == migrations.head("sample") == "2"
    await migrations.upgrade("sample", url)
    admin = await databases.admin(url)
    assert await admin.fetchval("SELECT has_table_privilege('privaterouter_sample', 'sample.things', 'INSERT')")
    assert not await admin.fetchval("SELECT has_table_privilege('privaterouter_sample', 'sample.things', 'DELETE')")
    assert await admin.fetchval("SELECT count(*) FROM sample.alembic_version") == 1


async def test_two_migrators_at_once_do_the_work_once(databases: Databases, sample: Path) -> None:
    url = await databases.fresh()
    await asyncio.gather(migrations.upgrade("sample", url), migrations.upgrade("sample", url))
    assert await migrations.current("sample", url) == "2"


async def test_a_migrator_waits_for_another_process(databases: Databases, sample: Path) -> None:
    url = await databases.fresh()
    other = await databases.admin(url)
    await other.execute("SELECT pg_advisory_lock($1)", migrations.LOCK_KEY)
    waiting = asyncio.create_task(migrations.upgrade("sample", url))
    while not await other.fetchval("SELECT true FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        await asyncio.sleep(0.01)
    assert await other.fetchval("SELECT to_regnamespace('sample')") is None
    await other.execute("SELECT pg_advisory_unlock_all()")
    await waiting
    assert await migrations.current("sample", url) == "2"


async def test_a_failing_revision_leaves_those_before_it(databases: Databases, sample: Path) -> None:
    third = sample / "migrations" / "versions" / "20260103_breaks.py"
    third.write_text(
        'revision = "3"\ndown_revision = "2"\nfrom alembic import op\n'
        'def upgrade():\n    op.execute("CREATE TABLE sample.half ()")\n    op.execute("SELECT 1/0")\n'
    )
    url = await databases.fresh()
    with pytest.raises(Exception, match="division by zero"):
        await migrations.upgrade("sample", url)
    assert await migrations.current("sample", url) == "2"
    assert await (await databases.admin(url)).fetchval("SELECT to_regclass('sample.half')") is None


async def test_a_revision_that_cannot_get_its_lock_gives_up(databases: Databases, sample: Path) -> None:
    url = await databases.fresh()
    await migrations.upgrade("sample", url, "1")
    (sample / "migrations" / "versions" / "20260103_alters.py").write_text(
        'revision = "3"\ndown_revision = "2"\nfrom alembic import op\n'
        'def upgrade():\n    op.execute("ALTER TABLE sample.things ADD size int")\n'
    )
    holder = await databases.admin(url)
    async with holder.transaction():
        await holder.execute("SELECT FROM sample.things")
        with pytest.raises(Exception, match="lock timeout"):
            await migrations.upgrade("sample", url)
    assert await migrations.current("sample", url) == "2"


async def test_check_is_empty_when_the_tables_agree_and_names_what_differs(
    databases: Databases, sample: Path, things_url: str
) -> None:
    assert await migrations.check("sample", things_url) == []
    admin = await databases.admin(things_url)
    await admin.execute("ALTER TABLE sample.things ADD COLUMN colour text; CREATE TABLE public.unrelated ()")
    (difference,) = await migrations.check("sample", things_url)
    assert "remove_column" in difference
    assert "colour" in difference


async def test_check_sees_another_server_default(databases: Databases, sample: Path, things_url: str) -> None:
    admin = await databases.admin(things_url)
    await admin.execute("ALTER TABLE sample.things ALTER COLUMN name SET DEFAULT 'some'")
    assert len(await migrations.check("sample", things_url)) == 1


async def test_ensure_role_changes_the_password_of_a_known_role(databases: Databases, things_url: str) -> None:
    role = "privaterouter_sample"
    await migrations.ensure_role(things_url, role, "it's another", "sample")
    try:
        connection = await asyncpg.connect(things_url, user=role, password="it's another")
        assert await connection.fetchval("SELECT current_user") == role
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(databases.url_for("sample", things_url))
    finally:
        await migrations.ensure_role(things_url, role, dsn.service_password("sample", "x"), "sample")


async def test_a_migrator_that_may_not_make_roles_is_told_what_to_run(databases: Databases, sample: Path) -> None:
    url = await databases.fresh()
    admin = await databases.admin(url)
    await admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'; ALTER SCHEMA public OWNER TO plain")
    try:
        plain = url.replace("postgres@", "plain:plain@")
        with pytest.raises(migrations.MigrationError, match="CREATE ROLE privaterouter_absent LOGIN"):
            await migrations.ensure_role(plain, "privaterouter_absent", "secret", "sample")
    finally:
        await admin.execute("DROP OWNED BY plain CASCADE; DROP ROLE plain")
