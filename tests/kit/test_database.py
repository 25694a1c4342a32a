"""Transactions on a real Postgres: what commits, what times out, what a lost server looks like."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import pytest
from prometheus_client import REGISTRY

from kit.database import Connection, Database
from kit.errors import Unavailable
from tests.faults.links import Link
from tests.kit.conftest import Connect
from tests.support.databases import Databases


async def add(connection: Connection, number: int) -> None:
    await connection.execute("INSERT INTO sample.things (id) VALUES ($1)", number)


async def count(database: Database) -> int:
    async with database.reader() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM sample.things")
        return found


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_any_exception(things: Database) -> None:
    async def add_and_fail() -> None:
        async with things.transaction() as connection:
            await add(connection, 2)
            raise LookupError

    async with things.transaction() as connection:
        await add(connection, 1)
    with pytest.raises(LookupError):
        await add_and_fail()
    assert await count(things) == 1


async def test_a_reader_cannot_write_and_sees_one_snapshot(things: Database) -> None:
    async with things.reader() as reader:
        assert await reader.fetchval("SELECT count(*) FROM sample.things") == 0
        async with things.transaction() as writer:
            await add(writer, 1)
        assert await reader.fetchval("SELECT count(*) FROM sample.things") == 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with things.reader() as reader:
            await add(reader, 2)
    assert await count(things) == 1


async def test_a_service_may_do_what_its_migrations_grant_and_no_more(things: Database) -> None:
    async with things.transaction() as connection:
        await add(connection, 1)
    for forbidden in (
        "DELETE FROM sample.things",
        "CREATE TABLE sample.mine ()",
        "UPDATE sample.alembic_version SET version_num = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with things.transaction() as connection:
                await connection.execute(forbidden)


async def test_errors_of_the_data_pass_through(things: Database) -> None:
    async with things.transaction() as connection:
        await add(connection, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        async with things.transaction() as connection:
            await add(connection, 1)


async def test_a_slow_statement_is_unavailable(connect: Connect) -> None:
    things = await connect(statement_timeout_s=0.5)
    with pytest.raises(Unavailable):
        async with things.transaction() as connection:
            await connection.execute("SELECT pg_sleep(30)")
    assert await things.ping()


async def test_a_row_that_is_locked_too_long_is_unavailable(connect: Connect) -> None:
    things = await connect(lock_timeout_s=0.2)
    async with things.transaction() as holder:
        await add(holder, 1)
        with pytest.raises(Unavailable):
            async with things.transaction() as waiter:
                await add(waiter, 1)
    assert await count(things) == 1


async def test_an_exhausted_pool_is_unavailable_and_recovers(connect: Connect) -> None:
    things = await connect(acquire_timeout_s=1.0)
    async with things.reader(), things.reader():
        with pytest.raises(Unavailable):
            async with things.reader():
                pass
        assert not await things.ping()
    assert await things.ping()


async def test_a_connection_cut_by_the_server_is_unavailable_and_replaced(
    things: Database, databases: Databases, things_url: str
) -> None:
    admin = await databases.admin(things_url)

    async def cut_in_the_middle() -> None:
        async with things.transaction() as connection:
            await add(connection, 1)
            await admin.execute("SELECT pg_terminate_backend($1)", await connection.fetchval("SELECT pg_backend_pid()"))
            await connection.fetchval("SELECT 1")

    with pytest.raises(Unavailable):
        await cut_in_the_middle()
    assert await count(things) == 0


async def test_a_server_that_has_said_farewell_but_not_closed_yet_is_unavailable_and_replaced(
    databases: Databases, things_url: str, tmp_path: Path
) -> None:
    """So it is for a moment whenever Postgres dies; asyncpg then calls a new statement its own mistake."""
    url = databases.url_for("sample", things_url)
    directory = parse_qs(urlsplit(url).query)["host"][0]
    link = Link("slow", f"unix:{tmp_path}/.s.PGSQL.5432", lambda: f"unix:{directory}/.s.PGSQL.5432")
    await link.start()
    proxied = urlsplit(url)._replace(query=urlencode({"host": str(tmp_path), "port": "5432"})).geturl()
    database = await Database.connect(proxied, application_name="farewell", max_size=1, acquire_timeout_s=15.0)
    admin = await databases.admin(things_url)
    link.slow_close_s = 2.0
    async with database.transaction() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await asyncio.sleep(0.05)  # the farewell arrives, the end of the connection does not
    with pytest.raises(Unavailable):
        await count(database)
    assert await count(database) == 0
    await database.close()
    await link.close()


async def test_a_server_gone_silent_is_unavailable_also_while_its_connection_is_given_back(
    databases: Databases, things_url: str, tmp_path: Path
) -> None:
    """A timeout then waits for a cancellation that is not answered either."""
    url = databases.url_for("sample", things_url)
    directory = parse_qs(urlsplit(url).query)["host"][0]
    link = Link("silent", f"unix:{tmp_path}/.s.PGSQL.5432", lambda: f"unix:{directory}/.s.PGSQL.5432")
    await link.start()
    proxied = urlsplit(url)._replace(query=urlencode({"host": str(tmp_path), "port": "5432"})).geturl()
    database = await Database.connect(
        proxied, application_name="silent", max_size=1, acquire_timeout_s=1.0, statement_timeout_s=1.0
    )
    assert await count(database) == 0
    link.hold()
    with pytest.raises(Unavailable):
        await count(database)
    link.resume()
    assert await count(database) == 0
    await database.close()
    await link.close()


async def test_a_server_that_takes_no_writes_is_unavailable_for_them(databases: Databases, things_url: str) -> None:
    """A standby, or a full disk: it may be over soon, and is no mistake of the caller."""
    admin = await databases.admin(things_url)
    await admin.execute(f"ALTER DATABASE {urlsplit(things_url).path[1:]} SET default_transaction_read_only = on")
    database = await databases.connect("sample", things_url)
    with pytest.raises(Unavailable):
        async with database.transaction() as connection:
            await add(connection, 1)
    assert await count(database) == 0


async def test_the_lock_of_a_session_ends_with_it(things: Database) -> None:
    lock = "SELECT pg_try_advisory_lock(7)"
    async with things.session() as first, things.session() as second:
        assert await first.fetchval(lock)
        assert not await second.fetchval(lock)
    async with things.session() as third:
        assert await third.fetchval(lock)


async def test_the_pool_serves_more_callers_than_it_has_connections(things: Database) -> None:
    async def insert(number: int) -> None:
        async with things.transaction() as connection:
            await add(connection, number)

    await asyncio.gather(*map(insert, range(50)))
    assert await count(things) == 50


async def test_a_server_that_stays_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await Database.connect(f"postgresql:///x?host={tmp_path}", application_name="t", connect_within_s=0.3)


async def test_a_wrong_password_is_told_at_once(databases: Databases, things_url: str) -> None:
    wrong = databases.url_for("sample", things_url).replace(":", ":x", 2).replace("postgresql:x", "postgresql:")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await Database.connect(wrong, application_name="t")


async def test_statements_are_not_prepared_where_pgbouncer_forbids_it(databases: Databases, things_url: str) -> None:
    database = await Database.connect(
        databases.url_for("sample", things_url), application_name="bounced", statement_cache_size=0
    )
    async with database.reader() as connection:
        assert await connection.fetchval("SELECT $1::int", 7) == 7
        assert await connection.fetchval("SHOW application_name") == "bounced"
        assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    await database.close()


async def test_the_pool_can_be_seen_to_run_out(things: Database) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    most, used = value("db_pool_max_connections"), value("db_pool_connections", state="used")
    denied, waited = value("db_pool_denied_total"), value("db_pool_wait_seconds_count")
    assert most >= 1
    async with things.reader():
        assert value("db_pool_connections", state="used") == used + 1
    assert value("db_pool_connections", state="used") == used
    assert value("db_pool_wait_seconds_count") == waited + 1
    await things.close()
    assert value("db_pool_max_connections") < most
    assert value("db_pool_denied_total") == denied
