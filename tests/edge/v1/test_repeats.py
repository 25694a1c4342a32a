"""Events that are passed on unparsed come out, and count, as if each of them had been read."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.dialects.chat import ChatTranslator
from edge.money.records import Record, Status
from edge.v1.answers import Chunk, read_chunk
from edge.v1.bounds import Bounds
from edge.v1.exchange import Exchange
from edge.v1.judging import judge_piece
from edge.v1.repeats import Repeats
from edge.v1.sse import EventReader, data_event
from tests.edge.dialects.saying import ABOUT, chunk, dump, stream_of

NOTHING = cast(Any, None)
TARGET = SimpleNamespace(
    upstream=SimpleNamespace(credential="", base_url="", kind="openai"), headers={}, upstream_model="hidden"
)


@dataclass
class Outcome:
    """What became of a stream, and how many of its events were read."""

    told: bytes
    said: list[tuple[int, int, int, int]]
    ending: tuple[Status, bytes, str] | None
    reason: str
    usage: bytes
    read: int


class Reading(ChatTranslator):
    """Counts what it is given; without `repeats` it has to see all."""

    def __init__(self, *, is_chat: bool, learns: bool) -> None:
        super().__init__(ABOUT, is_chat=is_chat, shows_usage=True)
        self.count = 0
        if not learns:
            self.repeats = cast(Repeats, Forgetful())

    def read(self, data: bytes) -> Chunk:
        self.count += 1
        return read_chunk(data)


class Forgetful:
    """Learns nothing."""

    is_hopeful = False

    def learn(self, *_: object) -> None:
        return

    def read(self, _: bytes) -> None:
        return None


async def listen(pieces: Sequence[bytes], *, learns: bool, is_chat: bool, limit: int) -> Outcome:
    record = Record(request_id="r", account_id="a", api_key_id="k", start_time_ns=0)
    plan = SimpleNamespace(streamed=True)
    exchange = Exchange(cast(Any, plan), reply=NOTHING, hold=NOTHING, record=record, ticket=NOTHING, started_s=0.0)
    translator = Reading(is_chat=is_chat, learns=learns)
    bounds = Bounds(prompt_tokens=1, prompt_estimate=1, limit_tokens=limit, answers=1, choices=1)
    outgoing = cast(Any, SimpleNamespace(translator=translator, bounds=bounds, target=TARGET))
    exchange.outgoing = outgoing
    reader, ending = EventReader(), None
    out: list[bytes] = []
    for piece in [*pieces, b""]:
        ending = judge_piece(exchange, outgoing, reader, piece=piece, out=out)
        if ending:
            break
    return Outcome(
        told=b"".join(out),
        said=[
            (index, said.deltas, said.characters, said.size) for index, said in sorted(exchange.counter._said.items())
        ],
        ending=(ending.status, ending.last, ending.error.message if ending.error else "") if ending else None,
        reason=record.finish_reason,
        usage=bytes(exchange.usage or b""),
        read=translator.count,
    )


def both(pieces: Sequence[bytes], *, is_chat: bool = True, limit: int = 1_000) -> tuple[Outcome, Outcome]:
    async def run() -> tuple[Outcome, Outcome]:
        return (
            await listen(pieces, learns=True, is_chat=is_chat, limit=limit),
            await listen(pieces, learns=False, is_chat=is_chat, limit=limit),
        )

    quick, whole = asyncio.run(run())
    assert replace(quick, read=whole.read) == whole
    return quick, whole


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


TEXTS = st.one_of(
    st.text(alphabet="ab é漢😀", min_size=1, max_size=4),
    st.sampled_from(
        ["", '"', "\\", "\n", "\r", "\x00", "\x7f", "\u2028", "\u200d", "content", '"content":"a"', "a" * 30]
    ),
)
ODD = st.sampled_from(
    [
        chunk({}),
        chunk({"content": "x", "role": "assistant"}),
        chunk({"content": "x", "refusal": "no"}),
        chunk({"content": "x", "tool_calls": [{"index": 0, "function": {"name": "f"}}]}),
        chunk({"content": "x"}, logprobs={"content": [{"token": "x"}]}),
        chunk({"content": "x"}, finish="stop"),
        chunk({"content": "x"}) | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        chunk({"content": "x"}) | {"model": "other"},
        chunk({"content": "x"}) | {"error": {"message": "bad"}},
        {"choices": [{"index": 1, "delta": {"content": "x"}}]},
        {"choices": [{"index": 0, "text": "x"}]},
        {"choices": []},
        [],
    ]
)
RAW = st.sampled_from(
    [
        b": keep-alive\n\n",
        b"data: [DONE]\n\n",
        b"\n",
        b"\r\n",
        b"event: x\n",
        data_event(b'{"model":"hidden","choices":[{"index":0,"delta":{"content":"\xff"}}]}'),
        data_event(b'{"model":"hidden","choices":[{"index":0,"delta":{"content":"\xc3"}}]}'),
        data_event(b'{"model":"hidden","choices":[{"index":0,"delta":{"content":"x","c\\u006fntent":"y"}}]}'),
        data_event(b'{"model":"hidden","choices":[{"index":0,"delta":{"content":"x"}}],"content":"y"}'),
    ]
)
STREAMS = st.lists(
    st.one_of(
        TEXTS.map(lambda text: stream_of([chunk({"content": text})])),
        TEXTS.map(lambda text: data_event(json.dumps(chunk({"content": text}), ensure_ascii=False).encode())),
        ODD.map(lambda odd: stream_of([odd])),
        RAW,
    ),
    max_size=12,
)


@given(stream=STREAMS, places=st.lists(st.integers(0, 4_000), max_size=6), limit=st.sampled_from([1, 8, 1_000]))
@settings(max_examples=300, deadline=None)
@example(stream=[stream_of([chunk({"content": "a"})] * 40)], places=[], limit=8)
def test_any_stream_comes_out_as_if_every_event_had_been_read(
    stream: list[bytes], places: list[int], limit: int
) -> None:
    # A first text, so that there is something to learn from.
    begin = stream_of([chunk({"role": "assistant", "content": ""}), chunk({"content": "a"})])
    both([begin, *cut(b"".join(stream), places)], limit=limit)


ALIKE = {
    "the end": lambda text: chunk({"content": text}, finish="stop"),
    "usage": lambda text: chunk({"content": text}) | {"usage": {"prompt_tokens": 1, "completion_tokens": len(text)}},
    "another field": lambda text: chunk({"content": text, "refusal": "no more than this, and that is long"}),
    "a tool call": lambda text: chunk(
        {"content": text, "tool_calls": [{"index": 0, "function": {"name": "function", "arguments": "{}"}}]}
    ),
    "a text as well": lambda text: {"choices": [{"index": 0, "text": "long enough", "delta": {"content": text}}]},
    "a message as well": lambda text: {
        "choices": [{"index": 0, "delta": {"content": text}, "message": {"refusal": "no more than this"}}]
    },
    "the same name outside": lambda text: {"content": text, "choices": [{"index": 0, "delta": {"content": "x"}}]},
    "two answers": lambda text: {"choices": [{"index": at, "delta": {"content": text}} for at in (0, 1)]},
    "another answer": lambda text: {"choices": [{"index": 1, "delta": {"content": text}}]},
}


@pytest.mark.parametrize("odd", ALIKE.values(), ids=ALIKE)
def test_what_is_alike_but_more_than_a_text_is_read(odd: Callable[[str], object]) -> None:
    begin = stream_of([chunk({"content": "a"}), *({"choices": [{"index": at, "delta": {}}]} for at in (0, 1))])
    both([begin, *(stream_of([odd(text)]) for text in ("x", "x", "y" * 40, "z"))])


@pytest.mark.parametrize(
    "text", [b"\x01", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\xa0", b"", b'","x":"']
)
def test_what_may_be_no_text_is_read(text: bytes) -> None:
    first, *_ = words(1)
    before, _, behind = first.partition(b" w\xc3\xb6rt0")
    quick, _ = both([first, first, first, before + text + behind, first])
    assert quick.read == 3


def test_a_member_that_is_spelt_in_another_way_is_seen() -> None:
    texts = (b"y", b"long enough to count")
    both(
        [
            data_event(b'{"model":"m","choices":[{"index":0,"delta":{"content":"%b","c\\u006fntent":"y"}}]}' % text)
            for text in (b"y", b"y", *texts)
        ]
    )


def words(count: int) -> list[bytes]:
    return [data_event(json.dumps(chunk({"content": f" wört{n}"}), ensure_ascii=False).encode()) for n in range(count)]


@pytest.mark.parametrize("together", [1, 7, 50, 200])
def test_hardly_any_event_of_a_usual_stream_is_read(together: int) -> None:
    begin, end = stream_of([chunk({"role": "assistant", "content": ""})]), stream_of([chunk(finish="stop")])
    events = [begin, *words(100), end, b"data: [DONE]\n\n"]
    pieces = [b"".join(events[at : at + together]) for at in range(0, len(events), together)]
    quick, whole = both(pieces)
    assert whole.read == 102
    assert quick.read == 3
    assert b"hidden" not in quick.told


def test_pieces_that_end_within_an_event_need_no_reading_either() -> None:
    stream = b"".join(words(100))
    begin = len(b"".join(words(2)))
    quick, _ = both([stream[:begin], *cut(stream[begin:], range(0, len(stream), 333))])
    assert quick.read == 2


def test_completions_repeat_as_well() -> None:
    pieces = [
        data_event(dump({"id": "c", "model": "hidden", "choices": [{"index": 0, "text": f"a{n}"}]})) for n in range(50)
    ]
    quick, _ = both(pieces, is_chat=False)
    assert quick.read == 1


def test_a_stream_whose_events_are_never_alike_is_soon_left_alone() -> None:
    pieces = [stream_of([chunk({"content": "a"}) | {"created": n}]) for n in range(50)]
    quick, _ = both(pieces)
    assert quick.read == 50


def test_nothing_is_kept_of_an_event_without_end() -> None:
    reader = EventReader()
    reader.feed(b"data: 1\n\n")
    seen: list[int] = []

    def look(events: bytes) -> int:
        seen.append(len(events))
        return 0

    for _ in range(100):
        piece = b"x" * 10_000
        assert reader.skip(piece, look) is None
        reader.feed(piece)
    assert seen == []
