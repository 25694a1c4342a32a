"""An upstream's numbers are believed only where they make sense."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.v1.usage import Usage, _CacheCreation, _InputDetails, _OutputDetails, _Usage, merge_usage, read_usage


def read(value: Any, *, text_delivered: bool = True) -> Usage | None:
    return read_usage(msgspec.Raw(json.dumps(value).encode()), text_delivered=text_delivered)


VECTORS = json.loads(Path(__file__).with_name("usage_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["provider"] for vector in VECTORS])
def test_every_providers_shape_is_read_by_what_it_means(vector: dict[str, Any]) -> None:
    expected = vector["usage"] and Usage(**vector["usage"])
    assert read(vector["said"], text_delivered=False) == expected


def test_messages_usage_comes_in_two_parts_of_which_the_later_one_counts() -> None:
    start = {"input_tokens": 50, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 8, "output_tokens": 1}
    delta = {"output_tokens": 15, "input_tokens": None}
    merged = merge_usage(*(msgspec.Raw(json.dumps(part).encode()) for part in (start, delta)))
    assert read_usage(merged, text_delivered=True) == Usage(158, 15, 100, cache_write_input_tokens=8)


@pytest.mark.parametrize("other", [b"null", b"[]", b"{", b""])
def test_usage_that_is_no_object_cannot_be_merged(other: bytes) -> None:
    later = msgspec.Raw(b'{"output_tokens": 1}')
    assert merge_usage(msgspec.Raw(other), later) is later


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
COUNTS = st.integers(-2, 40) | st.sampled_from([2**39, 2**40, 2**40 + 1, 2**63])
TOKENS = [field for field in _Usage.__struct_fields__ if field.endswith("_tokens")]
GROUPS = [field for field in _Usage.__struct_fields__ if field not in TOKENS]
PARTS = {*_InputDetails.__struct_fields__, *_OutputDetails.__struct_fields__, *_CacheCreation.__struct_fields__}
SAID = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(TOKENS, COUNTS | JSON)
    | dict.fromkeys(GROUPS, st.dictionaries(st.sampled_from(sorted(PARTS)), COUNTS) | JSON),
)


@given(SAID, st.booleans())
def test_whatever_is_said_the_tokens_are_within_their_bounds(said: dict[str, Any], text_delivered: bool) -> None:
    usage = read(said, text_delivered=text_delivered)
    if usage is not None:
        assert 0 <= usage.input_tokens <= 2**40
        assert usage.cached_input_tokens >= 0
        assert usage.cache_write_input_tokens >= 0
        assert usage.cached_input_tokens + usage.cache_write_input_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= 2**40
        assert usage.output_tokens > 0 or not text_delivered
        assert not usage.estimated


@given(*[st.integers(0, 1000)] * 5)
def test_openais_and_anthropics_words_for_the_same_give_the_same(
    fresh: int, cached: int, written: int, output: int, reasoning: int
) -> None:
    whole = fresh + cached + written
    openai = {
        "prompt_tokens": whole,
        "completion_tokens": output + reasoning,
        "total_tokens": whole + output + reasoning,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    anthropic = {
        "input_tokens": fresh,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": output + reasoning,
    }
    expected = Usage(whole, output + reasoning, cached, cache_write_input_tokens=written)
    assert read(openai, text_delivered=False) == read(anthropic, text_delivered=False) == expected
