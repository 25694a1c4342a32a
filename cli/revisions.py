"""Whether a database is as new as this release, asked without Alembic, which takes over a second to import."""

import ast
from importlib import util
from pathlib import Path

import asyncpg


def newest(service: str) -> str | None:
    """The revision of a service that no other one builds on, read from its files; None unless there is exactly one."""
    facts = [_assigned(file) for file in _files(service)]
    heads = {fact["revision"] for fact in facts} - {fact["down_revision"] for fact in facts}
    return heads.pop() if len(heads) == 1 else None


async def applied(service: str, migrator_url: str) -> str | None:
    """The revision that the service's schema is at; None where nothing was migrated yet. Raises what asyncpg raises."""
    connection = await asyncpg.connect(migrator_url.replace("+asyncpg", "", 1), timeout=10)
    try:
        statement = f"SELECT version_num FROM {service}.alembic_version"  # noqa: S608 - a name of our own
        revision: str | None = await connection.fetchval(statement)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
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
