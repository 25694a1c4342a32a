"""An Ollama without a model for all tests of this folder, new for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from edge.upstream.getter import Getter
from tests.support.processes import fake_ollama


@pytest.fixture
def ollama_url() -> Iterator[str]:
    """Base URL of an Ollama that has just been started: it has models, and none is loaded."""
    with fake_ollama() as url:
        yield url


@pytest.fixture
async def getter() -> AsyncIterator[Getter]:
    """Asks with little patience."""
    get = Getter(timeout_s=0.5, max_bytes=100_000)
    yield get
    await get.close()
