"""What callers may ask for on inference beside an answer: no more cost than they say, and no second run."""

import json
from typing import Any

import aiohttp
import pytest

from edge.limits.rates import AT_ONCE, KEY, Admission, RateAnswer, Refusal
from edge.money.records import Status
from edge.v1.idempotency import Claim, Replay
from tests.edge.v1.gateway import CALLER, Gateway, body
from tests.support.waiting import eventually

PATH = "/v1/chat/completions"


def send(gateway: Gateway, headers: dict[str, str], **fields: Any) -> Any:
    """A request with these headers, to be used as a context."""
    given = {"authorization": "Bearer sk-pr-good"} | headers
    return gateway.http.post(gateway.url + PATH, json=body(PATH, **fields), headers=given)


async def code(response: aiohttp.ClientResponse) -> tuple[int, str]:
    return response.status, (await response.json())["error"]["code"]


async def test_tokens_are_asked_for_by_estimate_and_limit_and_settled_by_use(gateway: Gateway) -> None:
    async with send(gateway, {}, max_tokens=50, n=2) as response:
        assert response.status == 200
    size = len(json.dumps(body(PATH, max_tokens=50, n=2)))
    record = gateway.purse.final[0]
    assert gateway.rates.asked == [size // 5 + 10 + 100]
    assert gateway.rates.released == [record.input_tokens + record.output_tokens]
    assert record.output_tokens > 0


async def test_past_the_requests_at_the_same_time_there_is_a_429(gateway: Gateway) -> None:
    some = RateAnswer(allowed=True, limit=60, remaining=59, reset_s=1.0, retry_after_s=0)
    gateway.rates.answer = Admission(some, refusal=Refusal(AT_ONCE, KEY, 1, 1.0))
    async with send(gateway, {}) as response:
        assert await code(response) == (429, "rate_limit_exceeded")
        assert response.headers["retry-after"] == "1"
        assert response.headers["x-ratelimit-remaining-requests"] == "59"
    assert gateway.purse.opened == []


async def test_a_request_that_is_refused_after_it_was_admitted_gives_everything_back(gateway: Gateway) -> None:
    gateway.purse.balance_nanos = 0
    async with send(gateway, {"idempotency-key": "a"}) as response:
        assert await code(response) == (402, "insufficient_credits")
    assert gateway.rates.released == [0]
    assert gateway.ledger.claims == {}


async def test_the_callers_own_limit_lowers_the_answers(gateway: Gateway) -> None:
    header = "x-privaterouter-max-cost-usd"
    async with send(gateway, {header: "0.0001"}, max_tokens=1000) as response:
        assert response.status == 200
        limit = int(response.headers["x-privaterouter-max-tokens"])
    assert 256 <= limit < 1000
    assert gateway.purse.final[0].cost_nanos <= 100_000
    async with send(gateway, {header: "0.00001"}, max_tokens=1000) as response:
        assert await code(response) == (400, "max_cost_too_low")
    async with send(gateway, {header: "cheap"}) as response:
        assert await code(response) == (400, "invalid_parameter")
    assert len(gateway.purse.opened) == 1


async def test_a_request_that_was_answered_keeps_its_key_and_its_answer(gateway: Gateway) -> None:
    async with send(gateway, {"idempotency-key": "a"}) as response:
        assert response.status == 200
        answer = await response.read()
        request_id = response.headers["x-request-id"]
    assert gateway.ledger.claims == {"a": Claim("a", CALLER, request_id)}
    assert gateway.ledger.kept == {"a": answer}
    async with send(gateway, {"idempotency-key": "a"}) as response:
        assert await code(response) == (409, "idempotency_key_in_use")
    assert len(gateway.purse.opened) == 1


async def test_a_streamed_answer_is_not_kept(gateway: Gateway) -> None:
    async with send(gateway, {"idempotency-key": "a"}, stream=True) as response:
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    assert list(gateway.ledger.claims) == ["a"]
    assert gateway.ledger.kept == {}


async def test_a_repeated_request_is_replayed_and_runs_no_second_time(gateway: Gateway) -> None:
    gateway.ledger.replays["a"] = Replay(b'{"object":"receipt"}', {"x-privaterouter-replayed": "true"})
    async with send(gateway, {"idempotency-key": "a"}) as response:
        assert (response.status, await response.read()) == (200, b'{"object":"receipt"}')
        assert response.headers["x-privaterouter-replayed"] == "true"
        assert response.headers["x-ratelimit-remaining-requests"] == "59"
    assert (gateway.purse.opened, gateway.purse.final) == ([], [])
    assert gateway.rates.released == [0]


async def test_a_request_that_failed_at_the_upstream_gives_its_key_back(gateway: Gateway) -> None:
    async with send(gateway, {"idempotency-key": "a"}, model="test/down") as response:
        assert await code(response) == (503, "upstream_unavailable")
    assert gateway.purse.final[0].status is Status.ERROR
    assert gateway.ledger.claims == {}
    assert gateway.rates.released == [0]


async def test_who_leaves_midway_pays_and_cannot_run_it_again(gateway: Gateway) -> None:
    script = {"tokens": 500, "before_token_s": 0.02}
    async with send(gateway, {"idempotency-key": "a"}, stream=True, script=script) as response:
        await response.content.readany()

    async def ended() -> bool:
        return len(gateway.rates.released) == 1

    await eventually(ended)
    record = gateway.purse.final[0]
    assert record.status is Status.CANCELLED
    assert record.cost_nanos > 0
    assert list(gateway.ledger.claims) == ["a"]


@pytest.mark.parametrize("key", ["", "k" * 256, "a b"])
async def test_a_malformed_key_is_refused_before_anything_is_taken(gateway: Gateway, key: str) -> None:
    async with send(gateway, {"idempotency-key": key}) as response:
        assert await code(response) == (400, "invalid_parameter")
    assert gateway.rates.asked == []
    assert gateway.purse.opened == []
