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


@pytest.mark.parametrize(
    "url, where",
    [
        ("postgresql://someone:hidden@db.example:5433/x", "db.example:5433"),
        ("postgresql+asyncpg://someone:hidden@db/x?ssl=require", "db:5432"),
        ("postgresql://someone:hid%40den@[::1]/x", "[::1]:5432"),
        ("postgresql://postgres@/privaterouter?host=/run/x&port=5432", "/run/x"),
        ("postgresql://someone:hidden@a:1,b:2/x", "a:1,b:2"),
        ("redis://:hidden@valkey/0", "valkey:6379"),
        ("rediss://valkey:7000", "valkey:7000"),
        ("unix:///run/valkey.sock?db=1", "/run/valkey.sock"),
        ("hidden", "an address that makes no sense"),
        ("host=db password=hidden", "an address that makes no sense"),
    ],
)
def test_where_an_address_leads_is_told_without_its_password(url: str, where: str) -> None:
    assert dsn.place(url) == where
