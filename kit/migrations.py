"""Migrations of any service: each has its own schema, version table, role and folder of revisions.

By convention the package `services.<name>` has `tables.py` with `metadata` and `migrations/versions/`.
The same environment (kit/migration_env) serves these functions and the `alembic` command.
"""

import asyncio
import importlib
import threading
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kit.dsn import role_of

LOCK_KEY = 0x70726D67
"""Advisory lock held by whoever migrates a database."""

T = TypeVar("T")

_alembic_is_global = threading.Lock()


class MigrationError(Exception):
    """The database cannot be migrated as asked; the message says what to do."""


def services(ini: Path = Path("alembic.ini")) -> list[str]:
    """Names of the services that have migrations, as listed in alembic.ini."""
    parser = ConfigParser(interpolation=None)
    with ini.open() as file:
        parser.read_file(file)
    return parser["alembic"]["services"].split()


async def ensure_role(url: str, role: str, password: str, schema: str) -> None:
    """Creates or updates a login role and the schema it may use; harmless when repeated.

    MigrationError when the role is absent and the user of `url` may not create roles; where it may
    not, an existing role keeps its password.
    """
    connection = await asyncpg.connect(_asyncpg_dsn(url), timeout=10)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
            may = await connection.fetchval(
                "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            if may:
                verb = "ALTER" if known else "CREATE"
                await connection.execute(f"{verb} ROLE {_name(role)} LOGIN PASSWORD {_literal(password)}")
            elif not known:
                raise MigrationError(
                    f"the role {role} is absent and the user of DATABASE_URL may not create roles; "
                    f"let an administrator run: CREATE ROLE {role} LOGIN PASSWORD '...'"
                )
            database = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"GRANT CONNECT ON DATABASE {_name(database)} TO {_name(role)}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_name(schema)}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {_name(schema)} TO {_name(role)}")
    finally:
        await connection.close()


def prerequisites(service: str) -> list[str]:
    """SQL for what every revision takes for granted: the schema, and a role to grant to (without login)."""
    schema, role = _name(service), _name(role_of(service))
    return [
        f"CREATE SCHEMA IF NOT EXISTS {schema}",
        # Roles belong to the whole server, where another database may be migrated at this moment.
        f"""
        DO $$ BEGIN
            IF to_regrole({_literal(role)}) IS NULL THEN CREATE ROLE {role}; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$
        """,
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
    ]


async def upgrade(service: str, url: str, revision: str = "head") -> None:
    """Brings a service's schema up to `revision`; nothing happens when it is there.

    Waits for another migrator of the same database. Errors of Alembic and asyncpg pass through;
    each revision is a transaction, so those before a failing one stay.
    """

    def run() -> None:
        with _alembic_is_global:
            command.upgrade(_config(service, url), revision)

    await asyncio.to_thread(run)


async def current(service: str, url: str) -> str | None:
    """The revision the database is at, None where nothing was migrated yet."""

    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection, opts={"version_table_schema": service}).get_current_revision()

    return await _ask(url, read)


def head(service: str) -> str | None:
    """The newest revision in the service's folder."""
    return ScriptDirectory.from_config(_config(service, "")).get_current_head()


async def check(service: str, url: str) -> list[str]:
    """How the database, at its newest revision, differs from `tables.py`; empty when it does not."""

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts=options(service, connection))
        metadata: MetaData = context.opts["target_metadata"]
        return [str(difference) for difference in compare_metadata(context, metadata)]

    return await _ask(url, compare)


def run_script(sql: str) -> None:
    """Runs SQL of any number of statements inside a revision, in its transaction.

    `op.execute` takes one statement, since the driver prepares it, and reads `:word` as a parameter.
    """
    connection = op.get_bind()
    connection.execute(text("SELECT"))  # SQLAlchemy begins the transaction with its own first statement
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda asyncpg_connection: asyncpg_connection.execute(sql))


def options(service: str, connection: Connection) -> dict[str, Any]:
    """Alembic's options for one service: its schema and nothing else; partitions follow their parent."""
    partitions = set(
        connection.scalars(
            text("SELECT relname FROM pg_class WHERE relispartition AND relnamespace = to_regnamespace(:schema)"),
            {"schema": service},
        )
    )

    def include_name(name: str | None, kind: str, _: Any) -> bool:
        return name == service if kind == "schema" else not (kind == "table" and name in partitions)

    return {
        "target_metadata": importlib.import_module(f"services.{service}.tables").metadata,
        "version_table_schema": service,
        "include_schemas": True,
        "include_name": include_name,
        "compare_server_default": True,
        "transaction_per_migration": True,
    }


def engine(url: str) -> AsyncEngine:
    """An engine for one connection; asyncpg reads the DSN, so both tools understand the same ones."""
    dsn = _asyncpg_dsn(url)
    return create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: asyncpg.connect(dsn, timeout=10)
    )


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _asyncpg_dsn(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def _config(service: str, url: str) -> Config:
    config = Config(ini_section=service, attributes={"url": url})
    config.set_main_option("script_location", "kit:migration_env")
    config.set_main_option("version_locations", f"services.{service}:migrations/versions")
    config.set_main_option("path_separator", "newline")
    return config


async def _ask(url: str, question: Callable[[Connection], T]) -> T:
    async with engine(url).connect() as connection:
        return await connection.run_sync(question)
