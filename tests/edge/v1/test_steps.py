"""A request, and an event of a stream, take about as many steps as they did."""

from types import SimpleNamespace
from typing import Any, cast

from edge.dialects.chat import ChatTranslator
from edge.money.records import Record
from edge.v1.bounds import Bounds
from edge.v1.exchange import Exchange
from edge.v1.judging import judge_piece
from edge.v1.sse import EventReader
from tests.edge.dialects.saying import ABOUT, chunk, stream_of
from tests.edge.v1.gateway import Gateway
from tests.support.steps import hold_to_kept, steps

NOTHING = cast(Any, None)


async def test_a_whole_answer(gateway: Gateway) -> None:
    async def ask() -> None:
        async with gateway.post() as response:
            assert response.status == 200
            await response.read()

    hold_to_kept("a whole answer, without money and limits", await steps(ask))


async def test_events_that_come_one_by_one() -> None:
    begin = [stream_of([chunk({"role": "assistant", "content": ""})]), stream_of([chunk({"content": "Well"})])]
    pieces = [*begin, *[stream_of([chunk({"content": " word"})])] * 98]

    async def listen() -> None:
        judge(pieces)

    hold_to_kept("100 events of a stream, one by one", await steps(listen))


async def test_events_that_come_together() -> None:
    piece = stream_of([chunk({"content": " word"})] * 100)

    async def listen() -> None:
        judge([piece])

    hold_to_kept("100 events of a stream at once", await steps(listen))


async def test_events_that_must_be_read() -> None:
    piece = stream_of([chunk({"content": '"word"'})] * 100)

    async def listen() -> None:
        judge([piece])

    hold_to_kept("100 events of a stream with quotes", await steps(listen))


def judge(pieces: list[bytes]) -> None:
    record = Record(request_id="r", account_id="a", api_key_id="k", start_time_ns=0)
    plan = cast(Any, SimpleNamespace(streamed=True))
    exchange = Exchange(plan, reply=NOTHING, hold=NOTHING, record=record, ticket=NOTHING, started_s=0.0)
    bounds = Bounds(prompt_tokens=1, prompt_estimate=1, limit_tokens=1_000, answers=1, choices=1)
    translator = ChatTranslator(ABOUT, is_chat=True, shows_usage=False)
    outgoing = cast(Any, SimpleNamespace(translator=translator, bounds=bounds, target=NOTHING))
    exchange.outgoing = outgoing
    reader = EventReader()
    for piece in pieces:
        assert judge_piece(exchange, outgoing, reader, piece=piece, out=[]) is None
