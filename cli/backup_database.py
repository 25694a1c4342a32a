"""What a backup reads from the database and a restore writes to it: rows, partitions and sequences of all schemas.

Tables, roles and grants themselves are made by the migrations, at the revision that the backup was made at.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any, Final, TypeAlias

import asyncpg

from cli.backup_file import Manifest, Partition, Reader, Table, Writer
from cli.errors import CommandError
from deploy.local.settings import SERVICES
from kit.dsn import role_of

MIGRATION_LOCK: Final = 0x70726D67  # kit.migrations.LOCK_KEY, whose module takes a second to import
CONNECT_WITHIN_S: Final = 10.0
# As rows look in text must not depend on whom they are read by. Nobody gives up on a long copy either.
_SESSION: Final = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "timezone": "UTC",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "search_path": "pg_catalog",
}
_BOUND: Final = re.compile(r"DEFAULT|FOR VALUES FROM \('[\w: +-]+'\) TO \('[\w: +-]+'\)")
_OPTION: Final = re.compile(r"[a-z_]+=[a-z0-9_.]+")

TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname <> 'alembic_version'
ORDER BY 1, 2
"""
PARTITIONS: Final = """
SELECT n.nspname AS schema, p.relname AS parent, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound,
       coalesce(c.reloptions, '{}') AS options
FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND c.relkind = 'r' AND c.relispartition
ORDER BY 1, 3
"""
# Those that are deferred are asked at the end, and may go in circles.
REFERENCES: Final = """
SELECT n.nspname AS schema, c.relname AS name, rn.nspname AS to_schema, r.relname AS to_name
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE f.contype = 'f' AND NOT f.condeferrable AND f.conrelid <> f.confrelid AND n.nspname = ANY($1::text[])
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def connect(url: str) -> Connection:
    """The owner's connection. Raises what asyncpg raises."""
    return await asyncpg.connect(
        url.replace("+asyncpg", "", 1),
        timeout=CONNECT_WITHIN_S,
        server_settings={**_SESSION, "application_name": "privaterouter-backup"},
    )


async def copy_out(connection: Connection, writer: Writer, *, release: str, app_secret: str) -> Manifest:
    """All rows, as of one moment. CommandError where a schema is missing.

    Nobody migrates meanwhile; everything else goes on.
    """
    await connection.execute("SELECT pg_advisory_lock_shared($1)", MIGRATION_LOCK)
    try:
        return await _copied(connection, writer, release=release, app_secret=app_secret)
    finally:
        await connection.execute("SELECT pg_advisory_unlock_shared($1)", MIGRATION_LOCK)


async def _copied(connection: Connection, writer: Writer, *, release: str, app_secret: str) -> Manifest:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        moment: datetime = await connection.fetchval("SELECT now()")
        revisions = {service: await _revision(connection, service) for service in SERVICES}
        tables = []
        for table in await _tables(connection):
            with writer.member(table.member) as sink:
                query = f"SELECT {_list(table.columns)} FROM {_name(table.schema, table.name)}"  # noqa: S608
                status = await connection.copy_from_query(query, output=sink)
            tables.append(replace(table, rows=_count(status), sha256=sink.sha256))
        partitions = [Partition(**dict(row)) for row in await connection.fetch(PARTITIONS, SERVICES)]
    return Manifest(
        made_at=moment.isoformat(),
        release=release,
        postgres=await connection.fetchval("SHOW server_version"),
        revisions=revisions,
        app_secret=app_secret,
        tables=tables,
        partitions=partitions,
        # They are in no snapshot: read last, they are past every number that has been copied.
        sequences=await _sequences(connection),
    )


async def copy_in(connection: Connection, reader: Reader) -> None:
    """Puts all rows into schemas that were just migrated, all or none. CommandError where they do not fit."""
    manifest = reader.manifest
    async with connection.transaction():
        tables = {(table.schema, table.name): table for table in await _tables(connection)}
        for wanted in manifest.tables:
            found = tables.get((wanted.schema, wanted.name))
            if found is None or found.columns != wanted.columns:
                raise CommandError(f"The backup does not fit: {wanted.schema}.{wanted.name} has other columns here.")
        await _empty(connection, list(tables))
        await _make_partitions(connection, manifest.partitions)
        by_name = {(table.schema, table.name): table for table in manifest.tables}
        for key in await _in_order(connection, list(by_name)):
            table = by_name[key]
            status = await connection.copy_to_table(
                table.name, schema_name=table.schema, columns=table.columns, source=reader.rows(table)
            )
            if _count(status) != table.rows:
                raise CommandError(f"The backup is damaged: {table.member} has {_count(status)} of {table.rows} rows.")
        for name, value in manifest.sequences.items():
            await connection.execute(
                "SELECT setval(format('%I.%I', $1::text, $2::text)::regclass, $3)", *name.split("."), value
            )
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for schema, name in tables:
            await connection.execute(f"ALTER TABLE {_name(schema, name)} ENABLE TRIGGER USER")
    for schema, name in tables:
        await connection.execute(f"ANALYZE {_name(schema, name)}")


async def who_is_connected(connection: Connection) -> list[str]:
    """The services that have a connection to this database."""
    roles = {role_of(service): service for service in SERVICES}
    rows = await connection.fetch(
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY($1)",
        list(roles),
    )
    return sorted(roles[row["usename"]] for row in rows)


async def existing_schemas(connection: Connection) -> list[str]:
    """Those of ours that are there."""
    rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname = ANY($1::text[])", SERVICES)
    return sorted(row["nspname"] for row in rows)


async def drop_schemas(connection: Connection) -> None:
    """Deletes everything of ours."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {', '.join(map(_quoted, SERVICES))} CASCADE")


async def _tables(connection: Connection) -> list[Table]:
    return [Table(**dict(row)) for row in await connection.fetch(TABLES, SERVICES)]


async def _revision(connection: Connection, service: str) -> str:
    try:
        # A savepoint, so that the transaction goes on where there is no such table.
        async with connection.transaction():
            found: Any = await connection.fetchval(f"SELECT version_num FROM {_name(service, 'alembic_version')}")  # noqa: S608
    except asyncpg.UndefinedTableError:
        found = None
    if not found:
        raise CommandError(f"There is nothing to back up: the schema {service} is not there.")
    return str(found)


async def _sequences(connection: Connection) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT schemaname || '.' || sequencename AS name, last_value FROM pg_sequences"
        " WHERE schemaname = ANY($1::text[]) AND last_value IS NOT NULL ORDER BY 1",
        SERVICES,
    )
    return {row["name"]: row["last_value"] for row in rows}


async def _empty(connection: Connection, tables: Sequence[tuple[str, str]]) -> None:
    """What the migrations have put there goes; what rows set off stays quiet: its effects are in the backup."""
    names = [_name(*table) for table in tables]
    await connection.execute("SET CONSTRAINTS ALL DEFERRED")
    for name in names:
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    await connection.execute(f"TRUNCATE {', '.join(names)}")


async def _make_partitions(connection: Connection, partitions: Sequence[Partition]) -> None:
    for partition in partitions:
        if not _BOUND.fullmatch(partition.bound) or not all(map(_OPTION.fullmatch, partition.options)):
            raise CommandError(f"The backup is damaged: the partition {partition.name} is none.")
        options = f" WITH ({', '.join(partition.options)})" if partition.options else ""
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_name(partition.schema, partition.name)}"
            f" PARTITION OF {_name(partition.schema, partition.parent)} {partition.bound}{options}"
        )


async def _in_order(connection: Connection, tables: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each after those that it refers to."""
    sorter: TopologicalSorter[tuple[str, str]] = TopologicalSorter(dict.fromkeys(tables, ()))
    for row in await connection.fetch(REFERENCES, SERVICES):
        sorter.add((row["schema"], row["name"]), (row["to_schema"], row["to_name"]))
    return [table for table in sorter.static_order() if table in set(tables)]


def _count(status: str) -> int:
    return int(status.removeprefix("COPY "))


def _name(schema: str, name: str) -> str:
    return f"{_quoted(schema)}.{_quoted(name)}"


def _list(columns: Sequence[str]) -> str:
    return ", ".join(map(_quoted, columns))


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
