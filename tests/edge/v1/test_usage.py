"""An upstream's numbers are believed only where they make sense."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.v1.usage import Usage, read_usage


def read(value: Any, *, text_delivered: bool = True) -> Usage | None:
    return read_usage(msgspec.Raw(json.dumps(value).encode()), text_delivered=text_delivered)


def test_tokens_of_all_classes_are_read() -> None:
    said = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
        "queue_time": 0.5,
    }
    assert read(said) == Usage(100, 20, cached_input_tokens=64, reasoning_tokens=5)


def test_an_embedding_has_no_completion_tokens() -> None:
    assert read({"prompt_tokens": 4, "total_tokens": 4}, text_delivered=False) == Usage(4, 0)


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "12",
        {},
        {"completion_tokens": 1},
        {"prompt_tokens": None, "completion_tokens": 1},
        {"prompt_tokens": "7", "completion_tokens": 1},
        {"prompt_tokens": 7.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 7, "completion_tokens": -1},
        {"prompt_tokens": 7, "completion_tokens": 10**15},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 9},
        {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}},
        {"prompt_tokens": 7, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 7, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}},
        {"prompt_tokens": 7, "completion_tokens": 0},
        {"prompt_tokens": 7},
    ],
)
def test_nonsense_is_not_believed(said: Any) -> None:
    assert read(said) is None


def test_json_numbers_that_are_no_numbers_are_not_believed() -> None:
    assert read_usage(msgspec.Raw(b'{"prompt_tokens": NaN}'), text_delivered=False) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"]


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.booleans())
def test_whatever_is_said_the_tokens_are_within_their_bounds(said: dict[str, Any], text_delivered: bool) -> None:
    usage = read(said, text_delivered=text_delivered)
    if usage is not None:
        assert 0 <= usage.cached_input_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens
        assert usage.output_tokens > 0 or not text_delivered
