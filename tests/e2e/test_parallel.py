"""Twenty streams at once from the real model: all complete, each billed to the nano what its own usage says."""

import asyncio
from dataclasses import dataclass

import openai
import pytest

from kit.money import parse_usd
from tests.support.customers import Customer
from tests.support.waiting import eventually

STREAMS = 20
MODEL = "privaterouter/qwen-pro"
INPUT_NANOS, OUTPUT_NANOS = 500, 1500
"""A token of prompt and of answer at $0.50 and $1.50 for a million."""


@dataclass(frozen=True)
class Seen:
    """What a client saw of its own stream."""

    request_id: str
    text: str
    finish_reason: str | None
    input_tokens: int
    output_tokens: int


async def stream(client: openai.AsyncOpenAI, number: int) -> Seen:
    """One streamed request that asks for its usage."""
    answer = await client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Tell me something about the number {number}."}],
        max_tokens=32,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, finish_reason, usage = "", None, None
    async for chunk in answer.parse():
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish_reason = choice.finish_reason or finish_reason
    assert usage
    return Seen(answer.headers["x-request-id"], text, finish_reason, usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.timeout(240)
async def test_twenty_streams_complete_and_each_is_billed_what_its_own_usage_says(alice: Customer) -> None:
    alice.move_to("team")
    before = alice.balance_nanos()
    async with openai.AsyncOpenAI(base_url=alice.v1, api_key=alice.key, max_retries=0, timeout=180) as client:
        seen = await asyncio.gather(*(stream(client, number) for number in range(STREAMS)))
    assert len({one.request_id for one in seen}) == STREAMS
    assert all(one.text and one.finish_reason in {"stop", "length"} for one in seen)
    costs = {one.request_id: INPUT_NANOS * one.input_tokens + OUTPUT_NANOS * one.output_tokens for one in seen}

    async def charged() -> bool:
        return alice.balance_nanos() == before - sum(costs.values())

    await eventually(charged, within_s=10, what="the charges")
    for one in seen:
        event = (alice.usage(one.request_id) or {})["event"]
        assert parse_usd(event["cost_usd"]) == costs[one.request_id]
        assert (event["input_tokens"], event["output_tokens"]) == (one.input_tokens, one.output_tokens)
        assert (event["status"], event["streamed"], event["estimated"]) == ("success", True, False)
    charges = alice.all_of("/api/billing/transactions", kind="charge")
    assert {charge["request_id"]: -parse_usd(charge["amount_usd"]) for charge in charges} == costs
