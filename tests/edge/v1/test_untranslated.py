"""What chat completions can't say goes to those upstreams only that speak its dialect, within the money held for it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from edge.lookup.catalogue import Route
from edge.money.records import Status
from edge.v1.bounds import DESCRIBED_TOOL_TOKENS
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import PRICE, ROUTE, Gateway, body, model, running_gateway
from tests.edge.v1.test_matrix_of_dialects import answer_of, check_text, models_in
from tests.edge.v1.test_rerouting import attempts

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
DIALECTS = frozenset({"responses", "messages"})
DEAR = replace(PRICE, version_id="price-dear", output_nanos_per_mtok=10 * PRICE.output_nanos_per_mtok)
FINE: dict[str, Any] = {"tokens": 3}
FAILS: dict[str, Any] = {"status": 500}
COST = 7 * 100 + 3 * 300
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 5000}
BASH = {"type": "bash_20250124", "name": "bash"}


def turn(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


UNTRANSLATED: dict[str, tuple[str, dict[str, Any], str]] = {
    "custom tool": (RESPONSES, {"tools": [{"type": "custom", "name": "sql"}]}, "tools[0].type"),
    "shell": (RESPONSES, {"tools": [{"type": "local_shell"}]}, "tools[0].type"),
    "cut prompt": (RESPONSES, {"truncation": "auto"}, "truncation"),
    "grammar": (RESPONSES, {"text": {"format": {"type": "grammar", "grammar": "x"}}}, "text.format.type"),
    "call": (
        RESPONSES,
        {"input": [{"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"}]},
        "input[0].type",
    ),
    "result": (
        RESPONSES,
        {"input": [{"type": "custom_tool_call_output", "call_id": "c", "output": [IMAGE]}]},
        "input[0].type",
    ),
    "choice": (
        RESPONSES,
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "custom", "name": "sql"}},
        "tool_choice",
    ),
    "bash": (MESSAGES, {"tools": [BASH]}, "tools[0].type"),
    "search result": (
        MESSAGES,
        turn({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}),
        "messages[0].content[0].type",
    ),
    "format": (MESSAGES, {"output_format": {"type": "json_schema", "schema": {}}}, "output_format"),
}

# What costs more than its bytes and its limit tell, or is not its caller's: whatever the upstream speaks.
NOWHERE: list[tuple[str, dict[str, Any], str]] = [
    (RESPONSES, {"context_management": [{"type": "compaction"}]}, "context_management"),
    (RESPONSES, {"moderation": {"model": "x"}}, "moderation"),
    (RESPONSES, {"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    (RESPONSES, {"store": True}, "store"),
    (RESPONSES, {"api_base": "http://elsewhere"}, "api_base"),
    (RESPONSES, {"max_tokens": 5}, "max_tokens"),
    (RESPONSES, {"n": 2}, "n"),
    (RESPONSES, {"tools": [{"type": "custom", "name": "x"}, {"type": "web_search"}]}, "tools[1].type"),
    (RESPONSES, {"tools": [{"type": "custom", "name": "x", "defer_loading": True}]}, "tools[0].defer_loading"),
    (RESPONSES, {"tool_choice": {"type": "web_search"}}, "tool_choice"),
    (RESPONSES, {"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "input[0].type"),
    (RESPONSES, {"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
    (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input[0].content[0]"),
    (RESPONSES, {"input": [{"role": "user", "content": [IMAGE], "output": "x"}]}, "input[0]"),
    (
        RESPONSES,
        {"input": [{"type": "custom_tool_call_output", "output": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].output[0].file_id",
    ),
    (MESSAGES, {"context_management": {"edits": []}}, "context_management"),
    (MESSAGES, {"speed": "fast"}, "speed"),
    (MESSAGES, {"inference_geo": "us"}, "inference_geo"),
    (MESSAGES, {"mcp_servers": []}, "mcp_servers"),
    (MESSAGES, {"max_completion_tokens": 5}, "max_completion_tokens"),
    (MESSAGES, {"top_logprobs": 21}, "top_logprobs"),
    (MESSAGES, {"tools": [BASH, {"type": "web_search_20250305", "name": "w"}]}, "tools[1].type"),
    (MESSAGES, {"tools": [BASH], "system": [{"type": "image", "source": {}}]}, "system[0]"),
    (
        MESSAGES,
        turn({"type": "document", "source": {"type": "content", "content": []}}),
        "messages[0].content[0].source",
    ),
    (
        MESSAGES,
        turn({"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}),
        "messages[0].content[0].citations",
    ),
    (MESSAGES, turn({"type": "tool_result", "tool_use_id": "t", "content": {}}), "messages[0].content[0].content"),
    (MESSAGES, turn({"type": "server_tool_use", "id": "s"}, role="assistant"), "messages[0].content[0].type"),
]


def route(name: str, position: int = 0) -> Route:
    return replace(ROUTE, upstream_name=name, position=position)


@pytest.fixture
async def gateway(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway in front of upstreams of both kinds; when the test is over nothing runs and nothing is held."""
    async with running_gateway(upstream_url, patience=PATIENCE) as running:
        snapshot = running.catalogue.snapshot
        default = snapshot.upstreams["default"]
        upstreams = {
            name: replace(
                default,
                name=name,
                base_url=f"{upstream_url}/{name}",
                dialects=frozenset() if name.startswith("chat") else DIALECTS,
            )
            for name in ("chat", "chat2", "first", "second", "third")
        }
        models = [
            model("test/chat", routes=(route("chat"), route("chat2", 1))),
            model("test/mixed", routes=(route("chat"), route("first", 1))),
            model("test/two", routes=(route("first"), route("chat"), route("chat2", 1), route("second", 2))),
            model("test/main", routes=(route("chat"), route("first", 1)), fallback_models=("test/dear",)),
            model("test/dear", routes=(route("chat2"), route("third", 1)), price=DEAR),
        ]
        named = {one.public_name: one for one in models}
        plan = replace(snapshot.plans["test"], allowed_models=frozenset(named))
        running.catalogue.snapshot = replace(snapshot, models=named, plans={"test": plan}, upstreams=upstreams)
        yield running
        assert len(running.running) == 0
        assert running.purse.held == set()
        assert len(running.rates.released) == len(running.rates.asked)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", UNTRANSLATED)
async def test_only_those_are_asked_that_speak_the_dialect(gateway: Gateway, name: str, stream: bool) -> None:
    path, fields, _ = UNTRANSLATED[name]
    script = {"at": {"first": FINE}}
    async with gateway.post(path, model="test/mixed", stream=stream, script=script, **fields) as response:
        text = await response.text()
        assert response.status == 200, text
        request_id = response.headers["x-request-id"]
    shown = answer_of(text, stream=stream)
    assert models_in(shown) == {"test/mixed"}
    check_text(shown, path.rpartition("/")[2])
    tally = await gateway.tally(request_id)
    assert tally["path"] == f"/first{path}"
    ours = {"/v1/responses": {"store": False, "max_output_tokens": 1000}, "/v1/messages": {"max_tokens": 9}}[path]
    asked = body(path, script=script, **fields)
    assert tally["body"] == {**asked, "stream": stream, **ours, "model": "hidden:latest"}
    (record,) = gateway.purse.final
    assert (record.status, record.upstream_name, attempts(record)) == (Status.SUCCESS, "first", [])
    assert (record.cost_nanos, record.estimated, record.uncharged_nanos) == (COST, False, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", UNTRANSLATED)
async def test_where_none_speaks_it_the_field_is_named(gateway: Gateway, name: str, stream: bool) -> None:
    path, fields, param = UNTRANSLATED[name]
    await refused(gateway, path, param, model="test/chat", stream=stream, **fields)


@pytest.mark.parametrize("path, fields, param", NOWHERE, ids=[f"{at}, {one[2]}" for at, one in enumerate(NOWHERE)])
async def test_what_cannot_be_bounded_is_refused_by_all(
    gateway: Gateway, path: str, fields: dict[str, Any], param: str
) -> None:
    """Also beside something that can't be translated: that must not hide it."""
    await refused(gateway, path, param, model="test/two", **fields)
    beside: dict[str, Any] = {"truncation": "auto"} if path == RESPONSES else {"output_format": {}}
    await refused(gateway, path, param, model="test/two", **fields, **beside)


async def refused(gateway: Gateway, path: str, param: str, **fields: Any) -> None:
    """It is a 400 in its dialect's shape that names the field, and nothing was held or sent."""
    async with gateway.post(path, **fields) as response:
        answer = await response.json()
        request_id = response.headers["x-request-id"]
    assert response.status == 400, answer
    assert set(answer) == ({"error"} if path == RESPONSES else {"type", "error"})
    assert (answer["error"]["code"], answer["error"]["param"]) == ("invalid_body", param)
    assert (gateway.purse.opened, gateway.purse.wanted) == ([], [])
    assert await gateway.tally(request_id) is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["custom tool", "bash"])
async def test_another_that_speaks_it_answers_in_the_place_of_one_that_fails(
    gateway: Gateway, name: str, stream: bool
) -> None:
    path, fields, _ = UNTRANSLATED[name]
    script = {"at": {"first": FAILS, "second": FINE}}
    async with gateway.post(path, model="test/two", stream=stream, script=script, **fields) as response:
        shown = answer_of(await response.text(), stream=stream)
    check_text(shown, path.rpartition("/")[2])
    (record,) = gateway.purse.final
    assert attempts(record) == [("first", 500, "upstream_failed"), ("second", 200, "")]
    assert (record.status, record.cost_nanos) == (Status.SUCCESS, COST)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["custom tool", "bash"])
async def test_a_fall_back_answers_where_it_speaks_the_dialect(gateway: Gateway, name: str, stream: bool) -> None:
    path, fields, _ = UNTRANSLATED[name]
    script = {"at": {"first": FAILS, "third": FINE}}
    async with gateway.post(path, model="test/main", stream=stream, script=script, **fields) as response:
        assert response.headers["x-privaterouter-model"] == "test/dear"
        shown = answer_of(await response.text(), stream=stream)
    assert models_in(shown) == {"test/dear"}
    (record,) = gateway.purse.final
    assert attempts(record) == [("first", 500, "upstream_failed"), ("third", 200, "")]
    assert (record.cost_nanos, record.price_version_id) == (7 * 100 + 3 * 3000, "price-dear")
    # It was held at the dearer price.
    limit = {"custom tool": 1000, "bash": 9}[name]
    assert gateway.purse.wanted[0] >= limit * 3000


async def most_of(gateway: Gateway, path: str, **fields: Any) -> tuple[int, int]:
    """What a quote says that a prompt has, most and estimated, and what the request itself had held."""
    wanted = len(gateway.purse.wanted)
    headers = {"authorization": "Bearer sk-pr-good", "anthropic-version": "2023-06-01"}
    asked = body(path, script={"at": {"first": FINE}}, **{"model": "test/mixed", **fields})
    async with gateway.http.post(f"{gateway.url}/v1/quote", json=asked, headers=headers) as response:
        quote = await response.json()
    async with gateway.http.post(gateway.url + path, json=asked, headers=headers) as response:
        assert response.status == 200
    (held,) = gateway.purse.wanted[wanted:]
    assert held == quote["input_tokens_most"] * 125 + quote["output_tokens_most"] * 300
    return quote["input_tokens_most"], quote["input_tokens_estimate"]


async def test_the_prompt_is_bounded_by_bytes_and_constants(gateway: Gateway) -> None:
    """The template has 10 tokens, tools 100, an image 1,000."""
    plain, _ = await most_of(gateway, RESPONSES, truncation="auto")
    custom, _ = await most_of(gateway, RESPONSES, truncation="auto", tools=[{"type": "custom", "name": "x"}])
    assert custom == plain + len(', "tools": [{"type": "custom", "name": "x"}]') + 100
    one = {"type": "custom_tool_call_output", "call_id": "c", "output": [IMAGE]}
    image, estimate = await most_of(gateway, RESPONSES, input=[one])
    two, _ = await most_of(gateway, RESPONSES, input=[one, one])
    assert two - image == 1000 + len(', {"type": "custom_tool_call_output", "call_id": "c", "output": [{}]}') + len(
        '"type": "input_image", "image_url": ""'
    )
    assert 1000 < estimate < image < 5000


async def test_a_tool_that_the_server_describes_is_bounded_by_what_that_takes(gateway: Gateway) -> None:
    one, estimate = await most_of(gateway, MESSAGES, tools=[BASH])
    two, estimate_of_two = await most_of(gateway, MESSAGES, tools=[BASH, BASH])
    added = len(', {"type": "bash_20250124", "name": "bash"}')
    assert two - one == DESCRIBED_TOOL_TOKENS + added
    # Nobody pays by our count for words that we have not seen.
    assert estimate_of_two - estimate <= added // 5 + 1
    shell, _ = await most_of(gateway, RESPONSES, tools=[{"type": "local_shell"}])
    function, _ = await most_of(gateway, RESPONSES, tools=[{"type": "function", "name": "f"}])
    assert DESCRIBED_TOOL_TOKENS - 50 < shell - function < DESCRIBED_TOOL_TOKENS


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["cut prompt", "format"])
async def test_a_limit_that_money_lowered_is_sent(gateway: Gateway, name: str, stream: bool) -> None:
    path, fields, _ = UNTRANSLATED[name]
    limit = "max_output_tokens" if path == RESPONSES else "max_tokens"
    gateway.purse.balance_nanos = 200_000
    asked = {**fields, limit: 1000, "stream": stream, "script": {"at": {"first": FINE}}}
    async with gateway.post(path, model="test/mixed", **asked) as response:
        assert response.status == 200
        lowered = int(response.headers["x-privaterouter-max-tokens"])
        await response.read()
        tally = await gateway.tally(response.headers["x-request-id"])
    assert 256 <= lowered < 1000
    assert tally["body"][limit] == lowered


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["custom tool", "bash"])
async def test_without_usage_our_own_count_is_charged(gateway: Gateway, name: str, stream: bool) -> None:
    path, fields, _ = UNTRANSLATED[name]
    script = {"at": {"first": {"tokens": 6, "usage": "omit"}}}
    async with gateway.post(path, model="test/mixed", stream=stream, script=script, **fields) as response:
        assert response.status == 200
        await response.read()
    (record,) = gateway.purse.final
    assert record.estimated
    # Deltas in a stream, else a fifth of the bytes.
    assert record.output_tokens == (6 if stream else len("tok " * 6) // 5)
    assert 110 < record.input_tokens < 300


@pytest.mark.parametrize("name", ["cut prompt", "format"])
async def test_a_stream_without_end_is_ended_at_its_limit(gateway: Gateway, name: str) -> None:
    path, fields, _ = UNTRANSLATED[name]
    limit = "max_output_tokens" if path == RESPONSES else "max_tokens"
    asked = {**fields, limit: 5, "stream": True, "script": {"at": {"first": {"tokens": 500}}}}
    async with gateway.post(path, model="test/mixed", **asked) as response:
        text = await response.text()
    assert ('"status":"incomplete"' if path == RESPONSES else '"stop_reason":"max_tokens"') in text
    (record,) = gateway.purse.final
    assert (record.status, record.finish_reason) == (Status.SUCCESS, "length")
    assert record.cost_nanos <= gateway.purse.wanted[0]
