"""Events come out the same, whatever the stream and whatever the pieces that it arrives in."""

import itertools
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.v1.sse import Event, EventReader, EventTooLong, with_data

STREAM = (
    b'data: {"a": 1}\n\n: a comment\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\n'
    b"data:tight\n\ndata: caf\xc3\xa9\n\ndata: [DONE]\n\n"
)
SAID = [(b'{"a": 1}', ""), (b"one\ntwo", "x"), (b"tight", ""), (b"caf\xc3\xa9", ""), (b"[DONE]", "")]
BOM = b"\xef\xbb\xbf"


def reference(stream: bytes) -> list[tuple[bytes, str]]:
    """Data and names by the letter of the standard, line by line; an unfinished event is finished."""
    said = []
    data: list[bytes] = []
    name = b""
    for line in [*re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM)), b""]:
        if not line:
            if data:
                said.append((b"\n".join(data), name.decode("utf-8", "replace")))
            data, name = [], b""
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return said


def read(stream: bytes, cuts: list[int]) -> list[Event]:
    """All events of a stream that comes in pieces."""
    reader = EventReader()
    edges = [0, *sorted(cuts), len(stream)]
    events = [event for a, b in itertools.pairwise(edges) for event in reader.feed(stream[a:b])]
    whole = b"".join(event.raw for event in events)
    rest = reader.rest()
    assert reader.rest() == []
    left = b"".join(event.raw for event in rest)
    assert left[len(stream.removeprefix(BOM)) - len(whole) :] in ({b"\n", b"\n\n"} if left else {b""})
    assert (whole + left).startswith(stream.removeprefix(BOM))
    return events + rest


def said(events: list[Event]) -> list[tuple[bytes, str]]:
    """What a client is told."""
    return [(event.data, event.name) for event in events if event.data is not None]


# Mostly what has a meaning, so that it meets itself.
FIELDS = [b"data", b"data: ", b"data:", b"event: ", b"event", b"id: 1", b"retry: 5", b": ping", b"database: x"]
ENDS = [b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\r\r"]
WORDS = st.sampled_from([*FIELDS, *ENDS, b":", b" ", b"x", b"{}", b"[DONE]", b"caf\xc3\xa9", b"\xf0\x9f", BOM])
STREAMS = st.lists(WORDS | st.binary(max_size=4), max_size=40).map(b"".join)


@given(STREAMS, st.data())
@example(b"data: x\r\n\r\n", None)
def test_any_stream_in_any_pieces_says_what_the_standard_says(stream: bytes, data: st.DataObject | None) -> None:
    every = list(range(len(stream)))
    cuts = every if data is None else data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert said(read(stream, [])) == reference(stream)
    assert said(read(stream, cuts)) == reference(stream)
    assert said(read(stream, every)) == reference(stream)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_do_not_depend_on_where_a_stream_is_split(cuts: list[int]) -> None:
    assert said(read(STREAM, cuts)) == SAID


@pytest.mark.parametrize(
    "stream,expected",
    [
        (b"data: a\r\rdata: b\r\r", [(b"a", ""), (b"b", "")]),
        (b"data: a\ndata: b\ndata\n\n", [(b"a\nb\n", "")]),
        (b"data\n\ndata:\n\ndata: \n\n", [(b"", "")] * 3),
        (b"data:  two spaces \n\n", [(b" two spaces ", "")]),
        (b"event: ping\n\nevent: x\nevent: y\nid: 7\nretry: 1\nfoo\ndata: 1\n\n", [(b"1", "y")]),
        (b"data: 1\nevent: late\n\n", [(b"1", "late")]),
        (BOM + b"data: 1\n\n" + BOM + b"data: 2\n\n", [(b"1", "")]),
        (b"database: 1\ndata : 2\n data: 3\nDATA: 4\n\n", []),
        (b"\n\n\r\n: only comments\n\n:\n\n", []),
        (b"data: no end", [(b"no end", "")]),
        (b"data: no end\r", [(b"no end", "")]),
        (b"", []),
    ],
)
def test_odd_streams_are_read_by_the_standard(stream: bytes, expected: list[tuple[bytes, str]]) -> None:
    assert reference(stream) == expected
    assert said(read(stream, [])) == expected
    assert said(read(stream, list(range(len(stream))))) == expected


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r", b"\n\r", b"\r\n\n"])
def test_an_event_is_there_with_the_first_byte_that_ends_it(end: bytes) -> None:
    reader = EventReader()
    event = Event(b"data: 1" + end, b"1", is_plain=end == b"\n\n")
    assert [reader.feed(b"data: 1" + end[:-1]), reader.feed(end[-1:])] == [[], [event]]


def test_fields_that_are_not_data_stay_in_the_bytes_of_their_event() -> None:
    raw = b": x\r\nid: 7\nretry: 5\revent: y\ndata: 1\n\n"
    assert EventReader().feed(raw) == [Event(raw, b"1", "y")]


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    reader = EventReader()
    pieces = [b"\xef", b"\xbb", b"\xbfdata: 1\n\n", BOM + b"\n\n"]
    assert [reader.feed(piece) for piece in pieces] == [
        [],
        [],
        [Event(b"data: 1\n\n", b"1", is_plain=True)],
        [Event(BOM + b"\n\n", None)],
    ]


@pytest.mark.parametrize(
    "raw,silent",
    [
        (b": ping\n\n", True),
        (b"\r\n", True),
        (b"event: ping\nid\nretry: 5\r\n\r\n", True),
        (b"<html>\n\n", False),
        (b": x\n<html>\n\n", False),
        (b'{"error": "no"}\n\n', False),
        (b"identity: 5\n\n", False),
        (b"data: 1\n\n", False),
    ],
)
def test_comments_are_told_from_what_is_no_event_stream(raw: bytes, silent: bool) -> None:
    (event,) = EventReader().feed(raw)
    assert event.is_silent is silent


def test_other_data_takes_the_place_of_the_data_and_of_nothing_else() -> None:
    raw = b": 1\r\ndata:1\r\nid: 1\ndata: 1\nevent: x\ndata\n\n"
    (event,) = EventReader().feed(raw)
    assert with_data(event, b"2") == b": 1\r\ndata: 2\r\nid: 1\nevent: x\n\n"


BOUND = 100_000


@pytest.mark.parametrize(
    "piece", [b"x", b":\n", b":\r", b"data:\r\n", b"data: xxxx\n", b"y" * 700, b"data: " + b"x" * BOUND + b"\n\n"]
)
def test_an_event_has_a_bound_however_it_comes(piece: bytes) -> None:
    reader = EventReader(most_bytes=BOUND)

    def flood() -> None:
        for _ in range(0, BOUND + 1, len(piece)):
            reader.feed(piece)

    tracemalloc.start()
    try:
        with pytest.raises(EventTooLong):
            flood()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * BOUND


def test_an_event_just_within_its_bound_is_one() -> None:
    raw = b"data: " + b"x" * (BOUND - 8) + b"\n\n"
    for cut in (0, 1, 50_000, BOUND - 1):
        reader = EventReader(most_bytes=BOUND)
        assert reader.feed(raw[:cut]) + reader.feed(raw[cut:]) == [Event(raw, raw[6:-2], is_plain=True)]


@pytest.mark.parametrize("line", [b"x" * 4096, b":" + b"x" * 4094 + b"\n", b":\r" * 2048])
def test_sixteen_megabytes_in_small_pieces_take_no_time_to_speak_of(line: bytes) -> None:
    # A reader that looks through all it has with each piece takes many minutes for this.
    reader = EventReader()
    for _ in range(4000):
        assert reader.feed(line) == []
    (event,) = reader.feed(b"z\ndata: 1\n\n")
    assert event.data == b"1"
