"""Answers that come in one piece: what passes through, what changes, and what is charged."""

import json
from typing import Any

import pytest

from edge.money.records import Status
from tests.edge.v1.gateway import Gateway, body


async def test_an_answer_passes_through_but_for_the_models_name(gateway: Gateway) -> None:
    async with gateway.post(script={"tokens": 3}, max_tokens=5, logit_bias={"1": 2}, unknown_field=[1]) as response:
        answer = await response.json()
        request_id = response.headers["x-request-id"]
        assert response.status == 200
        assert response.headers["x-privaterouter-cost-usd"] == "0.0000016"
        assert response.headers["x-ratelimit-limit-requests"] == "60"
    assert answer["model"] == "test/chat"
    assert answer["choices"][0]["message"]["content"] == "tok tok tok "
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    sent = (await gateway.tally(request_id))["body"]
    asked = body("/v1/chat/completions", script={"tokens": 3}, max_tokens=5, logit_bias={"1": 2}, unknown_field=[1])
    assert sent == asked | {"model": "hidden:latest"}
    record = gateway.purse.final[0]
    assert (record.request_id, record.status, record.input_tokens, record.output_tokens) == (
        request_id,
        Status.SUCCESS,
        7,
        3,
    )
    assert (record.cost_nanos, record.estimated, record.http_status) == (7 * 100 + 3 * 300, False, 200)
    assert record.first_token_ms is None


async def test_the_upstreams_credential_is_sent_and_not_the_callers(gateway: Gateway) -> None:
    async with gateway.post() as response:
        request_id = response.headers["x-request-id"]
    assert (await gateway.tally(request_id))["authorization"] == "Bearer upstream-secret"


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 9999}, {"max_completion_tokens": None, "max_tokens": None}])
async def test_the_output_limit_is_always_sent_upstream(gateway: Gateway, fields: dict[str, Any]) -> None:
    async with gateway.post(script={"tokens": 1}, **fields) as response:
        request_id = response.headers["x-request-id"]
    assert (await gateway.tally(request_id))["body"]["max_tokens"] == 1000


async def test_a_limit_in_the_newer_field_stays_in_it(gateway: Gateway) -> None:
    async with gateway.post(script={"tokens": 1}, max_completion_tokens=20) as response:
        request_id = response.headers["x-request-id"]
    sent = (await gateway.tally(request_id))["body"]
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (20, False)


async def test_a_small_balance_lowers_the_limit_and_says_so(gateway: Gateway) -> None:
    gateway.purse.balance_nanos = 120_000
    async with gateway.post(max_tokens=900) as response:
        assert response.status == 200
        limit = int(response.headers["x-privaterouter-max-tokens"])
        request_id = response.headers["x-request-id"]
    assert 256 <= limit < 900
    tally = await gateway.tally(request_id)
    assert (tally["body"]["max_tokens"], tally["output_tokens"]) == (limit, limit)
    assert gateway.purse.final[0].uncharged_nanos == 0
    assert gateway.purse.balance_nanos >= 0


@pytest.mark.parametrize(
    "usage",
    [
        "omit",
        None,
        "lots",
        {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2},
        {"prompt_tokens": 10**13, "completion_tokens": 3},
        {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 11},
        {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7},
    ],
)
async def test_without_a_usage_to_believe_we_count_ourselves(gateway: Gateway, usage: object) -> None:
    async with gateway.post(script={"tokens": 10, "usage": usage}) as response:
        assert response.status == 200
    record = gateway.purse.final[0]
    size = len(json.dumps(body("/v1/chat/completions", script={"tokens": 10, "usage": usage})))
    assert (record.estimated, record.input_tokens, record.output_tokens) == (True, size // 5 + 10, 8)
    assert record.cost_nanos == (size // 5 + 10) * 100 + 8 * 300


@pytest.mark.parametrize(
    "text, told, charged, estimated",
    [
        ("Of four letters each. " * 4, 20, 34, True),
        ("Of four letters each. " * 4, 40, 40, False),
        ("Говорит по-русски. " * 4, 32, 32, False),
    ],
    ids=["one answer's usage", "that of both", "that of both, in letters of two bytes"],
)
async def test_a_usage_of_one_answer_is_not_taken_for_that_of_all(
    gateway: Gateway, text: str, told: int, charged: int, estimated: bool
) -> None:
    """llama.cpp tells the tokens of the first answer only."""
    answers = [{"index": index, "message": {"content": text}, "finish_reason": "stop"} for index in (0, 1)]
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": told,
        "total_tokens": 7 + told,
        "prompt_tokens_details": {"cached_tokens": 5},
    }
    said = json.dumps({"choices": answers, "usage": usage})
    async with gateway.post(n=2, script={"body": said, "headers": {"content-type": "application/json"}}) as response:
        assert response.status == 200
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.cached_input_tokens, record.output_tokens) == (7, 5, charged)
    assert (record.estimated, record.cost_nanos) == (estimated, 2 * 100 + 5 * 50 + charged * 300)


async def test_what_an_upstream_claims_beyond_the_hold_is_not_charged(gateway: Gateway) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 10**9, "total_tokens": 10**9 + 7}
    async with gateway.post(script={"tokens": 1, "usage": usage}, max_tokens=4) as response:
        assert response.status == 200
    record = gateway.purse.final[0]
    assert record.cost_nanos < 100_000
    assert record.cost_nanos + record.uncharged_nanos == 700 + 300 * 10**9


async def test_an_embedding_is_charged_for_its_input(gateway: Gateway) -> None:
    async with gateway.post("/v1/embeddings", input=["a", "b"], encoding_format="float") as response:
        answer = await response.json()
        request_id = response.headers["x-request-id"]
        assert response.headers["x-privaterouter-cost-usd"] == "0.0000014"
    assert (answer["model"], len(answer["data"])) == ("test/embed", 2)
    assert "max_tokens" not in (await gateway.tally(request_id))["body"]
    assert gateway.purse.final[0].endpoint == "embeddings"


async def test_a_completion_answers_every_prompt(gateway: Gateway) -> None:
    async with gateway.post("/v1/completions", max_tokens=2) as response:
        answer = await response.json()
    assert (answer["model"], answer["choices"][0]["text"]) == ("test/chat", "tok tok ")


async def test_cached_and_reasoning_tokens_are_parts_and_not_counted_twice(gateway: Gateway) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    async with gateway.post(script={"usage": usage}) as response:
        assert response.status == 200
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.cached_input_tokens, record.output_tokens, record.reasoning_tokens) == (
        100,
        60,
        20,
        15,
    )
    assert record.cost_nanos == 40 * 100 + 60 * 50 + 20 * 300
