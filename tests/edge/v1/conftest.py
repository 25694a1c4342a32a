"""A gateway for each test, and one misbehaving upstream for all of them."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from edge.v1.exchange import Patience
from tests.edge.v1.gateway import Gateway, running_gateway
from tests.support.processes import fake_upstream

# More than the real one where a test does not wait for it, so that a machine that stands still changes no answer.
PATIENCE = Patience(keep_alive_s=15.0, usage_s=15.0, tick_s=0.05)
BEATING = replace(PATIENCE, keep_alive_s=0.3)


@pytest.fixture(scope="session")
def upstream_url() -> Iterator[str]:
    """Base URL of the misbehaving upstream."""
    with fake_upstream() as url:
        yield url


@pytest.fixture
async def gateway(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway; when the test is over nothing runs and nothing is held."""
    async with running_gateway(upstream_url, patience=PATIENCE) as running:
        yield running
        assert len(running.running) == 0
        assert running.purse.held == set()
        assert len(running.rates.released) == len(running.rates.asked)


@pytest.fixture
async def beating(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway that keeps a silent stream alive every 0.3 s; the others do so as rarely as the real one."""
    async with running_gateway(upstream_url, patience=BEATING) as running:
        yield running
        assert running.purse.held == set()


@pytest.fixture
async def ending(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway that waits a second for the usage after the end of an answer; the others wait longer."""
    async with running_gateway(upstream_url, patience=replace(PATIENCE, usage_s=1.0)) as running:
        yield running
        assert running.purse.held == set()


@pytest.fixture
async def large(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway that takes bodies as large as the real one does."""
    async with running_gateway(upstream_url, patience=PATIENCE, max_body_bytes=32 * 1024 * 1024) as running:
        yield running
        assert running.purse.held == set()
