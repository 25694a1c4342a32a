"""A sample service for the tests of the toolbox, which knows no real one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import dsn, migrations
from kit.database import Database
from tests.support import sample_service
from tests.support.databases import APP_SECRET, Databases

Connect = Callable[..., Awaitable[Database]]
"""Takes what `Database.connect` takes in seconds."""


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Path]:
    """The folder of `services.sample`."""
    with sample_service.installed(tmp_path) as home:
        yield home


@pytest.fixture
async def things_url(databases: Databases, sample: Path) -> str:
    """The migrator's DSN of a database with the sample service's schema and role."""
    url = await databases.fresh()
    password = dsn.service_password("sample", APP_SECRET)
    await migrations.ensure_role(url, "privaterouter_sample", password, "sample")
    await migrations.upgrade("sample", url)
    return url


@pytest.fixture
async def connect(databases: Databases, things_url: str) -> AsyncIterator[Connect]:
    """Connects as the sample service: more patient than a machine stands still, but for what a test says otherwise."""
    made: list[Database] = []

    async def connected(**patience_s: Any) -> Database:
        database = await Database.connect(
            databases.url_for("sample", things_url),
            application_name="things",
            max_size=2,
            **{"statement_timeout_s": 30.0, "lock_timeout_s": 15.0, "acquire_timeout_s": 15.0, **patience_s},
        )
        made.append(database)
        return database

    yield connected
    for database in made:
        await database.close()


@pytest.fixture
async def things(connect: Connect) -> Database:
    """A Database connected as the sample service."""
    return await connect()
