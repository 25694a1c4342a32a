"""Fills tables of a new stack in few minutes for ten million rows: nothing is logged, indexes are built at the end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SERVER: Final[Mapping[str, str]] = {
    # What is written to a table that was emptied in the same transaction is not logged as well.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "shared_buffers": "1GB",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "max_parallel_maintenance_workers": "2",
}
"""Settings of a PostgreSQL that has nothing to lose: if it stops half way, one begins anew."""

# Primary keys and unique constraints stay: rows come in their order, which costs little.
_INDEXES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_indexdef(c.oid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = ANY($1::text[]::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
"""


@asynccontextmanager
async def filling(url: str, tables: Sequence[str], *, emptied: bool = False) -> AsyncIterator[Connection]:
    """A connection to add rows with, in one transaction.

    No trigger runs and no foreign key is looked at meanwhile: who adds rows adds what depends on them as well.
    With `emptied` what the tables had is put aside and added again.
    """
    connection = await asyncpg.connect(url, command_timeout=3600)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            if emptied:
                await _empty(connection, tables)
            indexes = await connection.fetch(_INDEXES, list(tables))
            for index in indexes:
                await connection.execute(f"DROP INDEX {index['name']}")
            yield connection
            for index in indexes:
                # Of a partitioned table the definition names the table alone, but all partitions have it.
                await connection.execute(index["definition"].replace(" ON ONLY ", " ON "))
    finally:
        await connection.close()


async def _empty(connection: Connection, tables: Sequence[str]) -> None:
    """As if they were new; they have what they had."""
    for number, table in enumerate(tables):
        await connection.execute(f"CREATE TEMPORARY TABLE kept_{number} ON COMMIT DROP AS TABLE {table}")
    await connection.execute(f"TRUNCATE {', '.join(tables)}")
    for number, table in enumerate(tables):
        await connection.execute(f"INSERT INTO {table} TABLE kept_{number}")
