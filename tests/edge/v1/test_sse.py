"""Events come out the same, whatever the pieces that the stream arrives in."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge.v1.sse import EventReader

STREAM = (
    b'data: {"a": 1}\n\n: a comment\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\n'
    b"data:tight\n\ndata: caf\xc3\xa9\n\ndata: [DONE]\n\n"
)
DATA = [b'{"a": 1}', None, b"one\ntwo", b"tight", b"caf\xc3\xa9", b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_do_not_depend_on_where_a_stream_is_split(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(STREAM[a:b])]
    assert [event.data for event in events] == DATA
    assert b"".join(event.raw for event in events) == STREAM
    assert reader.rest() == []


def test_every_single_byte_may_be_a_piece() -> None:
    reader = EventReader()
    events = [event for i in range(len(STREAM)) for event in reader.feed(STREAM[i : i + 1])]
    assert [event.data for event in events] == DATA


def test_carriage_returns_alone_end_lines_too() -> None:
    reader = EventReader()
    assert [event.data for event in reader.feed(b"data: a\r\rdata: b\r\rx")] == [b"a", b"b"]


def test_a_last_event_without_its_empty_line_is_not_lost() -> None:
    reader = EventReader()
    assert reader.feed(b"data: [DONE]\n") == []
    assert [event.data for event in reader.rest()] == [b"[DONE]"]
