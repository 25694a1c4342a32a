"""A request's cost is bounded before it runs."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Price
from edge.v1.bounds import Bounds
from edge.v1.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint

MODEL = Model(
    id="0",
    public_name="privaterouter/fast",
    family="gemma",
    kind="chat",
    context_tokens=8192,
    max_output_tokens=4096,
    dimensions=0,
    template_tokens=100,
    tools_tokens=500,
    image_tokens=1500,
    price=Price("1", 100_000_000, 100_000_000, 300_000_000),
    routes=(),
    create_time=datetime(2026, 1, 1, tzinfo=UTC),
    upstream_model="gemma4:latest",
)


def bound(endpoint: Endpoint, **fields: Any) -> tuple[Bounds, int]:
    body = json.dumps({"model": "m"} | fields).encode()
    return endpoint.read(body).bound(MODEL), len(body)


def test_a_chat_is_bounded_by_its_bytes_its_template_and_its_limit() -> None:
    bounds, size = bound(CHAT, messages=[{"role": "user", "content": "hi"}], max_tokens=10)
    assert bounds == Bounds(size + 100, size // 5 + 100, limit_tokens=10, answers=1, choices=1)
    assert bounds.full_nanos(MODEL) == (size + 100) * 100 + 10 * 300


@pytest.mark.parametrize("price", [Price("1", 5, 4, 9, 3), Price("1", 4, 5, 9, 3), Price("1", 3, 4, 9, 5)])
def test_a_prompt_is_held_for_at_its_dearest_class(price: Price) -> None:
    model = replace(MODEL, price=price)
    bounds = Bounds(10**6, 10**6, limit_tokens=10**6, answers=1, choices=1)
    assert bounds.full_nanos(model) == 5 + 9
    assert bounds.affordable_limit(model, 5 + 4) == 444_444


def test_the_larger_of_both_limits_counts_and_the_models_own_is_never_passed() -> None:
    messages = [{"role": "user", "content": "hi"}]
    both, _ = bound(CHAT, messages=messages, max_tokens=10, max_completion_tokens=20)
    none, _ = bound(CHAT, messages=messages)
    more, _ = bound(CHAT, messages=messages, max_tokens=10**9)
    assert [both.limit_tokens, none.limit_tokens, more.limit_tokens] == [20, 4096, 4096]


def test_tools_and_images_count_their_constants_instead_of_the_links_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    bounds, size = bound(CHAT, messages=messages, tools=[])
    assert bounds.prompt_tokens == size - 1022 + 100 + 500 + 1500


def test_a_prompt_is_never_bounded_beyond_the_context() -> None:
    chat, _ = bound(CHAT, messages=[{"role": "user", "content": "x" * 100_000}])
    texts, _ = bound(EMBEDDINGS, input=["x" * 100_000, "y" * 100_000])
    assert [chat.prompt_tokens, texts.prompt_tokens] == [8192, 2 * 8192]


@pytest.mark.parametrize(
    "prompt,answers", [("a", 6), (["a", "b"], 12), ([1, 2, 3], 6), ([[1, 2], [3]], 12), ([[1]], 6)]
)
def test_every_prompt_is_answered_as_often_as_best_of_says(prompt: Any, answers: int) -> None:
    bounds, _ = bound(COMPLETIONS, prompt=prompt, n=2, best_of=6)
    assert (bounds.answers, bounds.choices) == (answers, answers // 3)


def test_an_embedding_has_no_output() -> None:
    bounds, size = bound(EMBEDDINGS, input=["a", "b"])
    assert bounds == Bounds(size + 200, size // 5 + 200, limit_tokens=0, answers=0, choices=0)


@given(held=st.integers(0, 10**9), prompt=st.integers(0, 8192), limit=st.integers(1, 4096), answers=st.integers(1, 128))
def test_what_is_affordable_never_costs_more_than_is_held(held: int, prompt: int, limit: int, answers: int) -> None:
    bounds = Bounds(prompt, prompt, limit, answers, answers)
    affordable = bounds.affordable_limit(MODEL, held)
    assert 0 <= affordable <= limit
    if affordable:
        assert Bounds(prompt, prompt, affordable, answers, answers).full_nanos(MODEL) <= held
    if affordable < limit:
        assert Bounds(prompt, prompt, affordable + 1, answers, answers).full_nanos(MODEL) > held


@pytest.mark.parametrize(
    "fields,param",
    [
        ({"messages": []}, "messages"),
        ({}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [1]}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"video_url": {"url": "http://x/v.mp4"}}]}]}, "messages"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": [1]}, "max_completion_tokens"),
        ({"n": 129}, "n"),
        ({"n": 0}, "n"),
        ({"best_of": 10**30}, "best_of"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_type_or_range_names_its_field(fields: dict[str, Any], param: str) -> None:
    defaults: dict[str, Any] = (
        {} if "messages" in fields or not fields else {"messages": [{"role": "u", "content": ""}]}
    )
    with pytest.raises(EdgeError) as caught:
        bound(CHAT, **{**defaults, **fields})
    assert (caught.value.code, caught.value.param) == ("invalid_body", param)


@pytest.mark.parametrize("prompt", [[], ["a", 1], [1, "a"], [[1], 2], {}, None, 5, [["a"]], [None]])
def test_a_prompt_of_no_known_shape_is_refused(prompt: Any) -> None:
    with pytest.raises(EdgeError) as caught:
        bound(COMPLETIONS, prompt=prompt)
    assert (caught.value.code, caught.value.param) == ("invalid_body", "prompt")
