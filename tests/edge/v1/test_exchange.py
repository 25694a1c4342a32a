"""What ends a wait: an interruption of the whole, a time-out of the present try, or a cancellation from outside."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from edge.money.records import Record, Status
from edge.v1.billing import note_progress
from edge.v1.exchange import Awaited, Cause, Exchange, Interrupted

Ends = Callable[[Exchange], None]
NOTHING = cast(Any, None)


def time_out(exchange: Exchange) -> None:
    exchange.time_out()


def leave(exchange: Exchange) -> None:
    exchange.interrupt(Cause.CLIENT_GONE)


async def wait(exchanges: "asyncio.Future[Exchange]", **how: Any) -> tuple[str, int]:
    """How a long wait ended, and how many cancellations the task still owes."""
    exchange = Exchange(NOTHING, reply=NOTHING, hold=NOTHING, record=NOTHING, ticket=NOTHING, started_s=0.0)
    exchanges.set_result(exchange)
    try:
        await exchange.wait(asyncio.sleep(60), **how)
    except (Interrupted, TimeoutError) as error:
        ended = type(error).__name__
    task = asyncio.current_task()
    assert task is not None
    # The next wait has nothing to do with it.
    if ended == "TimeoutError":
        await exchange.wait(asyncio.sleep(0))
    return ended, task.cancelling()


@pytest.mark.parametrize(
    "ends, expected",
    [
        ([time_out], "TimeoutError"),
        ([leave], "Interrupted"),
        ([time_out, leave], "Interrupted"),
        ([leave, time_out], "Interrupted"),
        ([time_out, time_out], "TimeoutError"),
    ],
)
async def test_whatever_comes_together_ends_the_wait_once(ends: list[Ends], expected: str) -> None:
    begun: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wait(begun, awaited=Awaited.HEAD))
    exchange = await begun
    await asyncio.sleep(0)
    for end in ends:
        end(exchange)
    assert await task == (expected, 0)


async def test_what_is_not_awaited_is_not_timed_out() -> None:
    begun: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wait(begun))
    exchange = await begun
    await asyncio.sleep(0)
    exchange.time_out()
    await asyncio.sleep(0)
    assert not task.done()
    leave(exchange)
    assert await task == ("Interrupted", 0)


@pytest.mark.parametrize("end", [time_out, leave])
async def test_a_cancellation_from_outside_wins(end: Ends) -> None:
    begun: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(wait(begun, awaited=Awaited.PIECE))
    exchange = await begun
    await asyncio.sleep(0)
    end(exchange)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_final_record_is_not_brought_up_to_date_any_more() -> None:
    record = Record(request_id="r", account_id="a", api_key_id="k", start_time_ns=0, status=Status.SUCCESS)
    exchange = Exchange(NOTHING, reply=NOTHING, hold=NOTHING, record=record, ticket=NOTHING, started_s=0.0)
    exchange.outgoing = cast(Any, object())  # nothing of it is looked at
    note_progress(exchange)
    assert record.input_tokens == 0
