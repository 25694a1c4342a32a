"""Every test of this folder runs over both clients, on asyncio's loop and on the one that serves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from edge.upstream.client import Client, ClientKind
from edge.upstream.clients import make_client


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


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
