"""The public name stands where the upstream's stood, and nothing else has changed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.v1.answers import read_chunk
from edge.v1.renaming import EventRenamer, rename
from edge.v1.sse import EventReader

PUBLIC = "privaterouter/fast"


def renamed(data: bytes) -> Any:
    return json.loads(rename(data, read_chunk(data), PUBLIC))


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "1", "model": "hidden:latest", "choices": []},
        {"model": "hidden:latest", "meta": {"model": "inner"}, "choices": []},
        {"meta": [{"model": "inner"}], "choices": [], "model": "hidden:latest"},
        {"choices": [{"delta": {"content": 'say "model": "x"'}}], "model": "hidden:latest"},
        {"x": "model", "model": "hidden:latest"},
        {"model": 'quo"ted\\', "choices": []},
    ],
)
def test_only_the_top_level_model_is_renamed(answer: dict[str, Any]) -> None:
    assert renamed(json.dumps(answer).encode()) == answer | {"model": PUBLIC}
    assert renamed(json.dumps(answer, indent=2).encode()) == answer | {"model": PUBLIC}


@given(st.text(), st.text())
def test_no_text_of_an_answer_can_disturb_it(content: str, name: str) -> None:
    answer = {"choices": [{"index": 0, "delta": {"content": content}}], "model": name, "note": content}
    assert renamed(json.dumps(answer).encode()) == answer | {"model": PUBLIC}


def test_an_answer_without_a_model_stays_as_it_is() -> None:
    data = b'{"choices": [ ]}'
    assert rename(data, read_chunk(data), PUBLIC) is data


def test_events_are_renamed_whatever_came_before_them() -> None:
    """The bytes of the name are remembered from one event to the next."""
    rename_event = EventRenamer(PUBLIC)
    said = [
        b'{"model":"hidden","n":1}',
        b'{"n":2,"model":"hidden"}',
        b'{"model":"hidden:latest"}',
        b'{"model": "hidden:latest"}',
        b'{"model":"hidden:latest","content":"\\"model\\":\\"hidden:latest\\""}',
        b'{"in":{"model":"hidden:latest"},"model":"hidden:latest"}',
        b'{"in":{"model":"hidden:latest"}}',
        b'{"model":"hidden:latest"}',
    ]
    for data in said:
        (event,) = EventReader().feed(b"data: " + data + b"\n\n")
        got = json.loads(rename_event(event, read_chunk(data)).removeprefix(b"data: "))
        expected = json.loads(data)
        assert got == (expected | {"model": PUBLIC} if "model" in expected else expected)


def test_an_event_keeps_its_other_lines() -> None:
    (event,) = EventReader().feed(b'event: x\nid: 7\ndata: {"model": "hidden"}\n\n')
    assert event.data is not None
    assert EventRenamer(PUBLIC)(event, read_chunk(event.data)) == (
        b'event: x\nid: 7\ndata: {"model":"privaterouter/fast"}\n\n'
    )


def test_the_name_is_changed_in_the_data_and_not_where_it_looks_like_it() -> None:
    (event,) = EventReader().feed(b': {"model": "hidden"}\ndata: {"model": "hidden"}\n\n')
    assert event.data is not None
    assert EventRenamer(PUBLIC)(event, read_chunk(event.data)) == (
        b': {"model": "hidden"}\ndata: {"model":"privaterouter/fast"}\n\n'
    )


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_several_data_lines_becomes_one_and_keeps_the_others(end: bytes) -> None:
    lines = [b"event: x", b'data: {"model":', b"id: 7", b'data: "hidden"}', b"", b""]
    (event,) = EventReader().feed(end.join(lines))
    assert event.data is not None
    got = EventRenamer(PUBLIC)(event, read_chunk(event.data))
    name, data, number, *rest = got.split(end)
    assert (name, number, rest) == (b"event: x", b"id: 7", [b"", b""])
    assert json.loads(data.removeprefix(b"data: ")) == {"model": PUBLIC}
