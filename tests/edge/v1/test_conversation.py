"""A client that has left before the first piece could be given to it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.money.records import Status
from edge.upstream.client import Broken
from edge.v1.conversation import _deliver
from edge.v1.exchange import Cause, Exchange, Interrupted

NOTHING = cast(Any, None)


class Silent:
    """An upstream that has said its last."""

    async def read(self) -> bytes:
        raise Broken("it is gone")


async def deliver(cause: Cause, finished: set[int]) -> Status:
    exchange = Exchange(NOTHING, reply=NOTHING, hold=NOTHING, record=NOTHING, ticket=NOTHING, started_s=0.0)
    exchange.outgoing = cast(Any, SimpleNamespace(bounds=SimpleNamespace(choices=1)))
    exchange.finished = finished
    exchange.interrupt(cause)
    reached = SimpleNamespace(ending=None, out=[b"data: {}\n\n"], response=Silent())
    return (await _deliver(exchange, cast(Any, reached), 1.0)).status


@pytest.mark.parametrize("cause", [Cause.CLIENT_GONE, Cause.TIMEOUT])
async def test_a_complete_answer_stays_one(cause: Cause) -> None:
    assert await deliver(cause, {0}) is Status.SUCCESS


@pytest.mark.parametrize("cause", [Cause.CLIENT_GONE, Cause.TIMEOUT])
async def test_an_incomplete_one_ends_as_for_who_leaves(cause: Cause) -> None:
    with pytest.raises(Interrupted) as caught:
        await deliver(cause, set())
    assert caught.value.cause is Cause.CLIENT_GONE
