"""Real services behind every edge of these tests; one set of them for the whole run."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import Cluster
from tests.support.processes import fake_upstream
from tests.support.services import RunningServices, running_services


@pytest.fixture(scope="session")
def services(cluster: Cluster, valkey: str) -> Iterator[RunningServices]:
    """The four services as processes, seeded, with models served by a fake upstream. Sign up a user for each test."""
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory,
        fake_upstream() as upstream,
        running_services(cluster, valkey, Path(directory), upstream_url=upstream) as running,
    ):
        yield running
