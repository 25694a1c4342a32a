"""One cluster for all runs, and the table of figures at the end."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.cluster import Cluster, running_cluster
from tests.faults.driver import FIGURES, SEED, send_home, table
from tests.faults.office import Office


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def running() -> AsyncIterator[Cluster]:
    """The whole system, for all tests that leave it as they found it."""
    async with running_cluster() as cluster:
        async with Office(cluster) as office:
            await office.lift_rate_limits()
        yield cluster


@pytest_asyncio.fixture(loop_scope="package")
async def cluster(running: Cluster) -> AsyncIterator[Cluster]:
    """The whole system, healthy at the beginning and again at the end, even of a test that fails midway."""
    yield running
    await running.restore()
    await send_home()


@pytest_asyncio.fixture(loop_scope="package")
async def office(cluster: Cluster) -> AsyncIterator[Office]:
    """Makes customers."""
    async with Office(cluster) as found:
        yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section(f"faults: FAULTS_SEED={SEED}")
        for line in table(FIGURES):
            terminalreporter.write_line(line)
