"""Every test of this folder runs over both clients, on asyncio's loop and on the one that serves."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.upstream.client import Client, ClientKind
from edge.upstream.clients import make_client
from tests.support.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]


@pytest.fixture(params=list(ClientKind))
def kind(request: pytest.FixtureRequest) -> ClientKind:
    made: ClientKind = request.param
    return made


@pytest.fixture
async def client(kind: ClientKind) -> AsyncIterator[Client]:
    """A client; when the test is over, nothing of it runs."""
    made = make_client(kind)
    yield made
    await made.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
