"""Values that would break, overcharge or turn an upstream: the same no wherever they can stand, naming their field."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.edge.v1.gateway import Gateway
from tests.edge.v1.smuggling import CONVERSATIONS, ROUTES, decision, plain, refused_param

COMPLETIONS, EMBEDDINGS, QUOTE = "/v1/completions", "/v1/embeddings", "/v1/quote"


async def items_are_refused(gateway: Gateway, items: str) -> None:
    for path, name in ((COMPLETIONS, "prompt"), (EMBEDDINGS, "input")):
        data = plain(path, **{name: "ITEMS"}).replace(b'"ITEMS"', items.encode())
        for route in (path, QUOTE):
            assert await refused_param(gateway, route, data) == name


IDS = ["99999999999999999999999", "2147483648", "-1", "1.5", "1.0", "1e3", "true", "null", "1e400"]


@pytest.mark.parametrize("number", IDS)
async def test_a_token_id_that_no_vocabulary_has_is_refused(gateway: Gateway, number: str) -> None:
    """A server fails on it, which would count against the server."""
    for items in (f"[{number}]", f"[1, {number}]", f"[[{number}]]", f"[[1], [1, {number}]]"):
        await items_are_refused(gateway, items)


async def test_a_list_without_a_token_is_refused(gateway: Gateway) -> None:
    await items_are_refused(gateway, "[[]]")
    await items_are_refused(gateway, "[[1], []]")


async def test_the_largest_token_id_passes(gateway: Gateway) -> None:
    for path, name in ((COMPLETIONS, "prompt"), (EMBEDDINGS, "input")):
        for items in ([0, 2**31 - 1], [[0], [2**31 - 1]]):
            assert await decision(gateway, path, plain(path, **{name: items})) == (200, "")


TOOL = {"type": "function", "function": {"name": "x"}}
FOREIGN: Mapping[str, Any] = {
    "tools": [TOOL],
    "functions": [{"name": "x"}],
    "tool_choice": "auto",
    "function_call": "auto",
    "parallel_tool_calls": True,
    "messages": [{"role": "user", "content": "x"}],
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("path", [COMPLETIONS, EMBEDDINGS])
async def test_a_field_of_chat_is_refused_where_no_server_takes_it(gateway: Gateway, path: str, name: str) -> None:
    data = plain(path, **{name: FOREIGN[name]})
    assert await refused_param(gateway, path, data) == name
    assert await decision(gateway, QUOTE, data) == (400, "invalid_body")


NAMES = [
    "mm_processor_kwargs", "media_io_kwargs", "session_params", "prompt_logprobs", "web_search_options",
    "search_parameters", "enable_search", "web_search", "Web_Search_Options",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_a_field_that_costs_more_than_tokens_is_refused(gateway: Gateway, name: str) -> None:
    for path in ROUTES:
        assert await refused_param(gateway, path, plain(path, **{name: {}})) == name


TEMPLATES: list[Any] = [
    {"chat_template": "{{ 1 }}"},
    {"Chat_Template": "{{ 1 }}"},
    {"enable_thinking": True, "tokenize": False},
    {"return_tensors": "pt"},
    {"max_length": 1},
    {"enable_thinking": [True]},
    {"documents": [{"text": "x"}]},
    {"x": {"a": 1}},
    "text",
    7,
    [],
]


@pytest.mark.parametrize("given", TEMPLATES, ids=str)
async def test_arguments_of_a_template_that_are_no_plain_flags_are_refused(gateway: Gateway, given: Any) -> None:
    for path in ROUTES:
        assert await refused_param(gateway, path, plain(path, chat_template_kwargs=given)) == "chat_template_kwargs"


async def test_flags_of_a_template_pass(gateway: Gateway) -> None:
    for given in ({"enable_thinking": False, "reasoning_effort": "low", "budget": 7, "x": None}, {}, None):
        for path in ROUTES:
            assert await decision(gateway, path, plain(path, chat_template_kwargs=given)) == (200, "")


@pytest.mark.parametrize("tier", ["priority", "flex", "scale", "Auto", "", 1, ["auto"], True], ids=str)
async def test_a_tier_of_another_price_is_refused(gateway: Gateway, tier: Any) -> None:
    for path in ROUTES:
        assert await refused_param(gateway, path, plain(path, service_tier=tier)) == "service_tier"


@pytest.mark.parametrize("store", [True, "false", 1, {}], ids=repr)
async def test_an_answer_that_is_to_be_kept_is_refused(gateway: Gateway, store: Any) -> None:
    for path in ROUTES:
        assert await refused_param(gateway, path, plain(path, store=store)) == "store"


async def test_what_costs_and_keeps_nothing_more_passes(gateway: Gateway) -> None:
    for fields in ({"service_tier": "auto", "store": False}, {"service_tier": "default"}, {"service_tier": None}):
        for path in ROUTES:
            assert await decision(gateway, path, plain(path, **fields)) == (200, ""), (path, fields)


async def test_prompts_times_answers_are_bounded_together(gateway: Gateway) -> None:
    for field in ("n", "best_of"):
        for many in (["x"] * 1025, [[1]] * 1025):
            data = plain(COMPLETIONS, prompt=many, max_tokens=1, **{field: 2})
            assert await refused_param(gateway, COMPLETIONS, data) == field
            assert await refused_param(gateway, QUOTE, data) == field
    most = plain(COMPLETIONS, prompt=["x"] * 1024, max_tokens=1, n=2)
    assert await decision(gateway, QUOTE, most) == (200, "")


def parted(path: str, parts: list[Any]) -> Any:
    """A conversation whose contents have these parts, half of them in each of two messages."""
    half = len(parts) // 2
    return [{"role": "user", "content": parts[:half]}, {"role": "user", "content": parts[half:]}]


PARTED = [(path, ROUTES[path].text) for path in [*CONVERSATIONS, "/v1/responses"]]


@pytest.mark.parametrize("path, field", PARTED)
async def test_more_parts_than_any_model_takes_are_refused(gateway: Gateway, path: str, field: str) -> None:
    part = {"type": "input_text" if path == "/v1/responses" else "text", "text": "x"}
    data = plain(path, **{field: parted(path, [part] * 10_001)})
    assert await refused_param(gateway, path, data) == field
    assert await decision(gateway, path, plain(path, **{field: parted(path, [part] * 10_000)})) == (200, "")


@pytest.mark.parametrize("path", [path for path, _ in PARTED])
async def test_more_tools_than_any_model_takes_are_refused(gateway: Gateway, path: str) -> None:
    tool: dict[str, Any] = TOOL
    if path == "/v1/responses":
        tool = {"type": "function", "name": "x"}
    elif ROUTES[path].is_anthropic:
        tool = {"name": "x", "input_schema": {}}
    assert await refused_param(gateway, path, plain(path, tools=[tool] * 1001)) == "tools"
    assert await decision(gateway, path, plain(path, tools=[tool] * 1000)) == (200, "")
    if not ROUTES[path].is_anthropic and path != "/v1/responses":
        functions = [{"name": "x"}] * 1001
        assert await refused_param(gateway, path, plain(path, functions=functions)) == "functions"
