"""What is read of chunks and whole answers, those of odd shapes too."""

import json
from typing import Any

import msgspec
import pytest

from edge.v1.answers import Choice, Delta, read_chunk


def read(value: Any) -> Any:
    return read_chunk(json.dumps(value).encode())


ODD = Delta(content=" ")


@pytest.mark.parametrize(
    "choices,expected",
    [
        ([{"index": 1, "delta": {"content": [{"type": "text", "text": "Hi"}]}}], [Choice(index=1, delta=ODD)]),
        (
            [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, "finish_reason": "stop"}],
            [Choice(delta=ODD, finish_reason="stop")],
        ),
        ([{"index": None, "delta": {}, "finish_reason": "stop"}], [Choice(delta=ODD, finish_reason="stop")]),
        ([], None),
        ([{"finish_reason": 5}], [Choice(delta=ODD)]),
        ({"0": {}}, [Choice(delta=ODD)]),
        (5, [Choice(delta=ODD)]),
    ],
)
def test_choices_of_another_shape_count_and_the_rest_is_read(choices: Any, expected: list[Choice] | None) -> None:
    chunk = read({"id": 5, "model": "hidden", "choices": choices, "usage": {"prompt_tokens": 1}})
    assert (chunk.model, chunk.choices or None) == ("hidden", expected)
    assert (bytes(chunk.usage), chunk.has_error) == (b'{"prompt_tokens": 1}', False)


def test_an_odd_object_without_choices_counts_nothing() -> None:
    chunk = read({"id": 5, "model": 5, "error": "no"})
    assert (chunk.model, chunk.choices, chunk.has_usage, chunk.has_error) == (None, None, False, True)


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"{", b"5", b'{"id": "\xff"}', b"[" * 100_000])
def test_what_is_no_object_is_not_read(data: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        read_chunk(data)


def test_deltas_that_hold_no_text_of_ours_are_read_around() -> None:
    delta = {"audio": {"data": "AAAA"}, "images": [{"image_url": {"url": "data:,"}}], "content": None, "role": "x"}
    chunk = read({"choices": [{"index": 0, "delta": delta, "logprobs": {"content": []}}]})
    assert chunk.choices == [Choice(delta=Delta())]
    assert chunk.usage == msgspec.Raw(b"null")


@pytest.mark.parametrize(
    "written,read",
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\uDE00b", "\ufffdb"),
        (r"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (r"\ud83d\ude00\ude00", "\N{GRINNING FACE}\ufffd"),
        (r"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (r"\\\ud83d", "\\\ufffd"),
    ],
)
def test_half_a_character_is_read_as_a_replacement(written: str, read: str) -> None:
    chunk = read_chunk(b'{"choices":[{"delta":{"content":"%b"}}]}' % written.encode())
    assert chunk.choices == [Choice(delta=Delta(content=read))]


def test_what_is_no_json_stays_so_whatever_its_escapes() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        read_chunk(rb'{"choices":[{"delta":{"content":"\ud83d"}}')
