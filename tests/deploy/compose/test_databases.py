"""The two owners and their databases are made once, and follow their addresses."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.compose.databases import prepare
from tests.support.databases import Cluster


@pytest.fixture
async def names(cluster: Cluster) -> AsyncIterator[tuple[str, str]]:
    """Of two roles and their databases, gone after the test."""
    ours, other = "compose_ours", "compose_other"
    yield ours, other
    for name in (ours, other):
        await cluster.execute(f"DROP DATABASE IF EXISTS {name}")
        await cluster.execute(f"DROP ROLE IF EXISTS {name}")


def url(name: str, password: str) -> str:
    return f"postgresql://{name}:{password}@postgres:5432/{name}"


async def test_repeating_it_changes_nothing_but_a_password(
    cluster: Cluster, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, other = names
    await prepare(cluster.url, url(ours, "it%27s"), url(other, "b"))
    assert capsys.readouterr().out == f"{ours}: made\n{other}: made\n"
    before = await roles(cluster)
    assert {(name, rights) for name, rights, _ in before} == {(ours, (False, False, True)), (other, (False,) * 3)}

    await prepare(cluster.url, url(ours, "it%27s"), url(other, "c"))
    assert capsys.readouterr().out == f"{ours}: there\n{other}: there\n"
    after = await roles(cluster)
    assert {name for name, _, sealed in after if (name, sealed) not in {(n, s) for n, _, s in before}} <= {ours, other}
    assert [(name, rights) for name, rights, _ in after] == [(name, rights) for name, rights, _ in before]


async def roles(cluster: Cluster) -> list[tuple[str, tuple[bool, ...], str]]:
    connection = await asyncpg.connect(cluster.url)
    try:
        rows = await connection.fetch(
            "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolpassword FROM pg_authid"
            " WHERE rolname LIKE 'compose_%' ORDER BY rolname"
        )
    finally:
        await connection.close()
    return [(row[0], (row[1], row[2], row[3]), row[4]) for row in rows]


async def test_nobody_else_may_connect(cluster: Cluster, names: tuple[str, str]) -> None:
    ours, other = names
    await prepare(cluster.url, url(ours, "a"), url(other, "b"))
    connection = await asyncpg.connect(urlsplit(cluster.url)._replace(path=f"/{ours}").geturl())
    try:
        may = "SELECT has_database_privilege($1, $2, 'CONNECT')"
        assert await connection.fetchval(may, ours, ours)
        assert not await connection.fetchval(may, other, ours)
        assert not await connection.fetchval(may, ours, other)
    finally:
        await connection.close()


async def test_a_name_that_would_need_quotes_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="no plain name"):
        await prepare(cluster.url, url("x%22;", "a"), url("y", "b"))
