"""An Ollama for all tests of this folder, as new for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from edge.upstream.getter import Getter
from tests.support.processes import fake_ollama, renewed


@pytest.fixture(scope="session")
def running_ollama() -> Iterator[str]:
    """Base URL of an Ollama that other tests have used."""
    with fake_ollama() as url:
        yield url


@pytest.fixture
def ollama_url(running_ollama: str) -> str:
    """Base URL of an Ollama as if just started: it has models, and none is loaded."""
    renewed(running_ollama)
    return running_ollama


@pytest.fixture
async def getter() -> AsyncIterator[Getter]:
    """Asks, and waits for longer than a machine stands still."""
    get = Getter(timeout_s=15.0, max_bytes=100_000)
    yield get
    await get.close()


@pytest.fixture
async def hasty_getter() -> AsyncIterator[Getter]:
    """Asks with little patience."""
    get = Getter(timeout_s=0.5, max_bytes=100_000)
    yield get
    await get.close()
