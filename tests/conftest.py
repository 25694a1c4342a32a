"""Real Postgres and Valkey for every test: one server of each per run and xdist worker, started when asked for."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.support.databases import Cluster, Databases

# Folders whose tests share a stack that is slow to start.
TOGETHER = ("browser", "cli", "e2e", "faults", "telemetry")

# What takes longest, the longest first: what is begun late keeps one worker busy when the others have nothing left.
FIRST = (
    "tests/e2e/",
    "tests/browser/",
    "tests/cli/",
    "tests/deploy/local/test_stack.py",
    "tests/faults/",
    "tests/deploy/local/test_litellm.py",
    "tests/deploy/compose/test_containers.py",
    "tests/telemetry/",
    "tests/services/",
)

# Making a database means making 300 files, which takes a disk ten times as long as memory does.
MEMORY = Path("/dev/shm")  # noqa: S108  # of a directory that nobody else can read
ROOM_BYTES = 4 << 30

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keeps on one worker the tests that share a stack, and else those of a file."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[1]
        return folder if folder in TOGETHER else path


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: now and then a test waits. With two more, pages and starts run into time-outs."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Tests that run side by side (`-n auto`) are spread like this, whatever `--dist` says."""
    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is made before the first test stays until the last, so garbage is not looked for there, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, where tests run side by side."""
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: next((at for at, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The run's Postgres server; tests use `databases`."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-test-", dir=MEMORY if has_room else None) as directory,
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
