"""Real Postgres and Valkey for every test: one server of each per run and xdist worker, started when asked for."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.support.databases import Cluster, Databases

# Folders whose tests share a stack that is slow to start.
TOGETHER = ("browser", "cli", "e2e", "faults")

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares a stack, and else the tests of a file."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        group = path.parts[0] if path.parts[0] in TOGETHER else str(path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The run's Postgres server; tests use `databases`."""
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory,
        Postgres(Path(directory), fsync=False) as server,
    ):
        yield Cluster(server.url)


@pytest.fixture
async def databases(cluster: Cluster) -> AsyncIterator[Databases]:
    """Maker of databases for this test, see `tests.support.databases.Databases`:

    database = await databases.create("billing")
    async with database.transaction() as connection: ...
    """
    made = Databases(cluster)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """Address of the run's Valkey server; tests use `redis_url`."""
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory,
        Valkey(Path(directory)) as server,
    ):
        yield server.url


@pytest.fixture
async def redis_url(valkey: str) -> AsyncIterator[str]:
    """Address of an empty Valkey; what the test leaves in it is deleted."""
    yield valkey
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
