"""One observed system for all of these tests, and the people who use it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.databases import Cluster
from tests.telemetry.observed import Observed, observed
from tests.telemetry.people import People


@pytest.fixture(scope="session")
def system(cluster: Cluster, valkey: str) -> Iterator[Observed]:
    """Everything as processes, observed."""
    with (
        tempfile.TemporaryDirectory(prefix="pr-telemetry-") as directory,
        observed(cluster, valkey, Path(directory)) as running,
    ):
        yield running


@pytest.fixture
async def people(system: Observed) -> AsyncIterator[People]:
    """Who sign up there."""
    async with People(system) as made:
        yield made
