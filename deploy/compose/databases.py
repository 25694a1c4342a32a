"""Makes the owners and databases on a PostgreSQL server: `python -m deploy.compose.databases`, before the migrations.

Two of each: ours, which the migrations fill, and LiteLLM's, which fills it by itself. Neither owner is a superuser or
sees the other's database. Repeating it changes nothing, but for passwords that have changed.
"""

import asyncio
import sys
from urllib.parse import unquote, urlsplit

import asyncpg

from deploy.compose.settings import DatabasesSettings
from kit.settings import load

LOCK_KEY = 0x70726462
"""Advisory lock held by whoever does this."""


async def prepare(superuser_url: str, owner_url: str, litellm_url: str) -> None:
    """Bring the server to what the two addresses say. Raises what asyncpg raises, and OSError."""
    connection = await asyncpg.connect(superuser_url, timeout=10)
    try:
        # For the session, since a database cannot be made in a transaction.
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        # Our owner makes the services' roles.
        await _ensure(connection, owner_url, rights="CREATEROLE")
        await _ensure(connection, litellm_url, rights="NOCREATEROLE")
    finally:
        await connection.close()


async def _ensure(connection: "asyncpg.Connection[asyncpg.Record]", url: str, *, rights: str) -> None:
    """The role of the address, with its password, and the database that it owns."""
    parts = urlsplit(url)
    role, database = _name(unquote(parts.username or "")), _name(unquote(parts.path.removeprefix("/")))
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE quote_ident(rolname) = $1", role)
    verb = "ALTER" if known else "CREATE"
    password = await connection.fetchval("SELECT quote_literal($1::text)", unquote(parts.password or ""))
    await connection.execute(f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB {rights} PASSWORD {password}")
    made = await connection.fetchval("SELECT true FROM pg_database WHERE quote_ident(datname) = $1", database)
    if not made:
        await connection.execute(f"CREATE DATABASE {database} OWNER {role}")
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    print(f"{parts.path.removeprefix('/')}: {'there' if made else 'made'}", flush=True)


def _name(identifier: str) -> str:
    """An identifier as PostgreSQL's quote_ident has it; ours need no quotes."""
    if not identifier.replace("_", "").isalnum() or not identifier.islower():
        raise ValueError(f"{identifier!r} is no plain name of a role or database")
    return identifier


def main() -> None:
    """Exit status 0, or 1 with one line on stderr; wrong settings are 2."""
    settings = load(DatabasesSettings)
    try:
        asyncio.run(
            prepare(settings.superuser_database_url, settings.database_url, settings.litellm_database_url),
        )
    except asyncpg.InvalidPasswordError:
        sys.exit(
            "PostgreSQL does not take POSTGRES_PASSWORD, since its data was made with another one. Put that back, or "
            "follow docs/containers.md to change it."
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"The databases could not be made: {error}.")


if __name__ == "__main__":
    main()
