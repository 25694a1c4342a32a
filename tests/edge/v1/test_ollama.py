"""The hot path in front of an Ollama: its quirks reach the client unharmed, and the bill is right in spite of them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from edge.lookup.catalogue import Route, Snapshot
from edge.money.records import Status
from edge.v1.exchange import Patience
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import Gateway, model, running_gateway
from tests.edge.v1.test_stream import events, final
from tests.support.processes import fake_ollama, renewed


@pytest.fixture(scope="module")
def running_ollama() -> Iterator[str]:
    """Base URL of an Ollama that other tests have used."""
    with fake_ollama() as url:
        yield url


@pytest.fixture
def ollama_url(running_ollama: str) -> str:
    """Base URL of an Ollama as if just started."""
    renewed(running_ollama)
    return running_ollama


@pytest.fixture
async def gateway(ollama_url: str) -> AsyncIterator[Gateway]:
    """A gateway in front of it; when the test is over nothing runs and nothing is held."""
    async with in_front_of(ollama_url, PATIENCE) as running:
        yield running


@asynccontextmanager
async def in_front_of(ollama_url: str, patience: Patience) -> AsyncIterator[Gateway]:
    async with running_gateway(ollama_url, patience=patience) as running:
        snapshot: Snapshot = running.catalogue.snapshot
        models = {
            name: model(
                name,
                routes=(Route("default", upstream_model, 1, 0, first_byte_timeout_s=30.0, idle_timeout_s=30.0),),
                **changes,
            )
            for name, upstream_model, changes in (
                ("test/chat", "qwen3:0.6b", {}),
                ("test/plain", "gemma4", {}),
                ("test/embed", "nomic-embed-text", {"kind": "embedding", "max_output_tokens": 0}),
                ("test/gone", "llama3.3:70b", {}),
            )
        }
        plan = replace(snapshot.plans["test"], allowed_models=frozenset(models))
        upstreams = {"default": replace(snapshot.upstreams["default"], kind="ollama", credential="")}
        running.catalogue.snapshot = replace(snapshot, models=models, plans={"test": plan}, upstreams=upstreams)
        yield running
        assert len(running.running) == 0
        assert running.purse.held == set()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("id_", ["chatcmpl-123", ""])
async def test_ids_that_repeat_or_are_empty_pass_through_and_are_never_ours(
    gateway: Gateway, stream: bool, id_: str
) -> None:
    ours = []
    for _ in range(2):
        async with gateway.post(stream=stream, max_tokens=3, script={"id": id_}) as response:
            answers = (await events(response))[:-1] if stream else [await response.json()]
            assert {answer["id"] for answer in answers} == {id_}
            ours.append(response.headers["x-request-id"])
    assert ours == [record.request_id for record in gateway.purse.final]
    assert len({*ours}) == 2
    assert id_ not in ours
    assert [(record.status, record.output_tokens) for record in gateway.purse.final] == [(Status.SUCCESS, 3)] * 2


@pytest.mark.parametrize("shown", [True, False])
async def test_usage_comes_only_when_asked_for_so_we_ask(gateway: Gateway, shown: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if shown else {}
    async with gateway.post(stream=True, max_tokens=4, **options) as response:
        got = await events(response)
        request_id = response.headers["x-request-id"]
    assert (await gateway.tally(request_id))["body"]["stream_options"] == {"include_usage": True}
    assert [one["usage"] for one in got[:-1] if "usage" in one] == (
        [{"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}] if shown else []
    )
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.output_tokens, record.estimated) == (11, 4, False)


async def test_the_zeros_in_each_chunk_of_a_completion_are_not_its_usage(gateway: Gateway) -> None:
    async with gateway.post("/v1/completions", stream=True, max_tokens=5) as response:
        got = await events(response)
    assert [one["choices"][0]["text"] for one in got[:-1]] == ["tok "] * 5 + [""]
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.output_tokens, record.estimated) == (11, 5, False)


async def test_a_client_that_leaves_a_completion_is_not_charged_by_its_zeros(gateway: Gateway) -> None:
    script = {"token_s": 0.05, "tokens": 100}
    async with gateway.post("/v1/completions", stream=True, max_tokens=100, script=script) as response:
        await response.content.readline()
    record = await final(gateway)
    assert (record.status, record.estimated, record.output_tokens > 0) == (Status.CANCELLED, True, True)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("reason", ["stop", "length", "load", ""])
async def test_every_done_reason_ends_an_answer_well(gateway: Gateway, reason: str, path: str, stream: bool) -> None:
    async with gateway.post(path, stream=stream, max_tokens=2, script={"done_reason": reason}) as response:
        answers = (await events(response))[:-1] if stream else [await response.json()]
    # An Ollama without a reason says "stop" at the end of a chat's stream, and nothing elsewhere.
    said = reason or ("stop" if stream and "chat" in path else None)
    assert answers[-1]["choices"][0]["finish_reason"] == said
    record = gateway.purse.final[0]
    assert (record.status, record.finish_reason, record.output_tokens) == (Status.SUCCESS, said or "", 2)
    assert record.cost_nanos == 11 * 100 + 2 * 300


async def test_reasoning_reaches_the_client_and_is_counted(gateway: Gateway) -> None:
    async with gateway.post(stream=True, max_tokens=3, script={"thinking": 5}) as response:
        got = await events(response)
    deltas = [one["choices"][0]["delta"] for one in got[:-1]]
    assert [delta.get("reasoning") for delta in deltas] == ["tok "] * 5 + [None] * 4
    record = gateway.purse.final[0]
    assert (record.output_tokens, record.estimated, record.first_token_ms is not None) == (8, False, True)


async def test_reasoning_of_a_client_that_leaves_is_charged_by_our_count(gateway: Gateway) -> None:
    async with gateway.post(stream=True, max_tokens=3, script={"thinking": 200, "token_s": 0.05}) as response:
        for _ in range(4):
            await response.content.readline()
    record = await final(gateway)
    assert (record.status, record.estimated) == (Status.CANCELLED, True)
    assert record.output_tokens >= 2


async def test_tool_calls_pass_through(gateway: Gateway) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    async with gateway.post(stream=True, tools=tools, script={"tool": True, "tokens": 0}) as response:
        got = await events(response)
    (call,) = got[0]["choices"][0]["delta"]["tool_calls"]
    assert (call["function"]["arguments"], got[-2]["choices"][0]["finish_reason"]) == ('{"city":"Bonn"}', "tool_calls")


async def test_an_error_that_ollama_swallows_in_a_stream_costs_nothing(gateway: Gateway) -> None:
    async with gateway.post(stream=True, max_tokens=9, script={"fail_after": 3}) as response:
        got = await events(response)
    assert {one["model"] for one in got[:-2]} == {"test/chat"}
    assert (got[-2]["error"]["code"], got[-1]) == ("upstream_failed", "[DONE]")
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.output_tokens) == (Status.ERROR, 0, 3)


async def test_embeddings_are_billed_by_their_usage(gateway: Gateway) -> None:
    async with gateway.post("/v1/embeddings", model="test/embed", input=["a", "b"]) as response:
        answer = await response.json()
    assert (answer["model"], len(answer["data"])) == ("test/embed", 2)
    assert (gateway.purse.final[0].input_tokens, gateway.purse.final[0].estimated) == (6, False)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_missing_model_is_the_operators_to_mend_and_the_error_says_how(
    gateway: Gateway, ollama_url: str, stream: bool, old: bool
) -> None:
    renewed(ollama_url, old=old)
    with capture_logs() as logs:
        async with gateway.post(model="test/gone", stream=stream) as response:
            status, error = response.status, (await response.json())["error"]
    assert (status, error["type"], error["code"]) == (503, "upstream_error", "upstream_unconfigured")
    assert error["message"] == (
        "The model 'test/gone' is not installed on its server. The operator of this gateway mends that there with "
        "`ollama pull llama3.3:70b`. Nothing was charged. Use another model until then."
    )
    causes = [entry["cause"] for entry in logs if entry["event"] == "inference_error"]
    assert causes == ["llama3.3:70b is missing on default; there: ollama pull llama3.3:70b"]
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.error_code) == (Status.ERROR, 0, "upstream_unconfigured")


@pytest.mark.parametrize(
    "name, path, fields",
    [
        ("test/plain", "/v1/chat/completions", {"tools": [{"type": "function"}]}),
        ("test/plain", "/v1/embeddings", {"input": "Hi."}),
        ("test/embed", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi."}]}),
    ],
)
async def test_what_a_model_cannot_do_is_said_under_its_public_name(
    gateway: Gateway, name: str, path: str, fields: dict[str, Any]
) -> None:
    snapshot = gateway.catalogue.snapshot
    kind = "embedding" if path.endswith("embeddings") else "chat"
    other = replace(snapshot.models[name], kind=kind, max_output_tokens=100 if kind == "chat" else 0)
    gateway.catalogue.snapshot = replace(snapshot, models={**snapshot.models, name: other})
    async with gateway.post(path, model=name, **fields) as response:
        error = (await response.json())["error"]
        assert response.status == 400
    assert name in error["message"]
    assert not any(word in error["message"] for word in ("gemma", "nomic", "registry.ollama.ai", ":latest"))


async def test_a_full_queue_is_busy_not_broken(gateway: Gateway, ollama_url: str) -> None:
    renewed(ollama_url, busy=True)
    async with gateway.post() as response:
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert (await response.json())["error"]["code"] == "upstream_unavailable"


async def test_while_a_model_loads_the_client_gets_comments_then_the_whole_answer(
    ollama_url: str,
) -> None:
    renewed(ollama_url, load_s=3.0)
    async with (
        in_front_of(ollama_url, replace(PATIENCE, keep_alive_s=0.1, tick_s=0.02)) as gateway,
        gateway.post(stream=True, max_tokens=2) as response,
    ):
        text = await response.text()
    assert text.startswith(": keep-alive\n\n: keep-alive\n\n")
    assert text.endswith("data: [DONE]\n\n")
    assert text.count('"content": "tok "') == 2
    assert gateway.purse.final[0].status is Status.SUCCESS
