"""Addresses of a service's database."""

from urllib.parse import urlsplit

import pytest

from kit import dsn


@pytest.mark.parametrize(
    "migrator",
    [
        "postgresql://boss:pw@db.example:5433/router?sslmode=require",
        "postgresql+asyncpg://boss@/router?host=/run/pg&port=5432",
        "postgres://boss:p%40ss@[::1]/router",
        "postgresql:///router?host=/run/pg&user=boss&password=pw",
    ],
)
def test_a_service_connects_to_the_migrators_server_as_itself(migrator: str) -> None:
    made, given = urlsplit(dsn.service_url(migrator, "sample", "s" * 32)), urlsplit(migrator)
    assert (made.scheme, made.username) == ("postgresql", "privaterouter_sample")
    assert made.password == dsn.service_password("sample", "s" * 32)
    assert (made.hostname, made.port, made.path) == (given.hostname, given.port, given.path)
    assert made.query == given.query.removesuffix("&user=boss&password=pw")
