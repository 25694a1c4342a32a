"""Which revisions of a schema this release knows, and which one a database is at.

Asked without Alembic, which takes over a second to import and has no place in a serving process.
"""

import ast
from importlib import util
from pathlib import Path
from typing import NamedTuple

import asyncpg


class History(NamedTuple):
    """The revisions of one service in this release."""

    newest: str | None
    """The one that no other builds on; None unless there is exactly one."""
    known: frozenset[str]


def history(service: str) -> History:
    """The revisions of a service, read from its files."""
    facts = [_assigned(file) for file in _files(service)]
    known = frozenset(fact["revision"] or "" for fact in facts) - {""}
    heads = known - {fact["down_revision"] for fact in facts}
    return History(next(iter(heads)) if len(heads) == 1 else None, known)


async def applied(service: str, url: str) -> str | None:
    """The revision that the service's schema is at; None where nothing was migrated yet. Raises what asyncpg raises.

    For a service's own role also None where the schema is so old that it does not let it read that.
    """
    # Without a cache no statement is prepared by name, so that this works through any pooler.
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=5, statement_cache_size=0)
    try:
        statement = f'SELECT version_num FROM "{service}".alembic_version'  # noqa: S608 - a name of our own
        revision: str | None = await connection.fetchval(statement, timeout=5)
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return None
    finally:
        await connection.close(timeout=5)
    return revision


async def may_connect(service_url: str) -> bool:
    """Whether the service's role has the password of that address."""
    try:
        connection = await asyncpg.connect(service_url, timeout=10)
    except asyncpg.PostgresError:
        return False
    await connection.close()
    return True


def _files(service: str) -> list[Path]:
    spec = util.find_spec(f"services.{service}")
    places = (spec.submodule_search_locations or []) if spec else []
    return [file for place in places for file in (Path(place) / "migrations" / "versions").glob("*.py")]


def _assigned(file: Path) -> dict[str, str | None]:
    """`revision` and `down_revision` as a file assigns them."""
    found: dict[str, str | None] = {"revision": None, "down_revision": None}
    for statement in ast.parse(file.read_text()).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and target.id in found and isinstance(value, ast.Constant):
                found[target.id] = value.value if isinstance(value.value, str) else None
    return found
