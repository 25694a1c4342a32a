"""Streamed answers: framing, usage, every way to end, and what each is charged."""

import asyncio
import gc
import json
from types import FunctionType, MethodType, ModuleType
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from edge.money.records import Record, Status
from edge.upstream.client import ClientKind
from tests.edge.v1.gateway import CLIENT, Gateway
from tests.support.waiting import eventually


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """The data of all events; `[DONE]` as it is."""
    text = (await response.read()).decode()
    assert text.endswith("\n\n")
    data = [event.removeprefix("data: ") for event in text.split("\n\n")[:-1] if not event.startswith(":")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


async def final(gateway: Gateway) -> Record:
    """The only final record, once it is there."""

    async def first() -> list[Record]:
        return gateway.purse.final

    return (await eventually(first, what="the final record"))[0]


async def test_a_stream_passes_through_but_for_the_models_name_and_the_usage(gateway: Gateway) -> None:
    async with gateway.post(stream=True, script={"tokens": 3}) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        got = await events(response)
    token = {"content": "tok "}
    assert [one["choices"][0]["delta"] for one in got[:-1]] == [{"role": "assistant"} | token, token, token, {}]
    assert {one["model"] for one in got[:-1]} == {"test/chat"}
    assert got[-1] == "[DONE]"
    record = gateway.purse.final[0]
    assert (record.status, record.input_tokens, record.output_tokens) == (Status.SUCCESS, 7, 3)
    assert (record.cost_nanos, record.estimated, record.finish_reason) == (1600, False, "stop")
    assert record.first_token_ms is not None


async def test_the_usage_chunk_is_shown_to_those_who_ask_for_it(gateway: Gateway) -> None:
    async with gateway.post(stream=True, stream_options={"include_usage": True}, script={"tokens": 2}) as response:
        got = await events(response)
    assert got[-2]["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert (got[-2]["choices"], got[-2]["model"]) == ([], "test/chat")


async def test_the_stream_is_closed_only_when_its_record_is_final(gateway: Gateway) -> None:
    async with gateway.post(stream=True, script={"tokens": 1}) as response:
        async for line in response.content:
            assert line.strip() != b"data: [DONE]" or len(gateway.purse.final) == 1


async def test_a_stream_keeps_nothing_of_its_request_once_the_answer_has_begun(gateway: Gateway) -> None:
    """It may be large, and the stream long."""
    script = {"tokens": 200, "before_token_s": 0.2}
    async with gateway.post(stream=True, script=script, suffix="x" * 500_000) as response:
        await response.content.readline()
        [exchange] = gateway.running._exchanges
        texts = [each for each in _reachable(exchange) if isinstance(each, (bytes, str))]
        assert max(map(len, texts)) < 100_000
    await final(gateway)


def _reachable(root: object) -> list[object]:
    """What an object leads to, by way of our own objects, structs and containers."""
    found, seen = [root], {id(root)}
    for each in found:
        ours = type(each).__module__.startswith("edge.v1") or isinstance(each, (dict, list, tuple, set, MethodType))
        for one in gc.get_referents(each) if ours else ():
            if id(one) not in seen and not isinstance(one, (type, ModuleType, FunctionType)):
                seen.add(id(one))
                found.append(one)
    return found


async def test_a_stream_leaves_its_connection_to_the_next(gateway: Gateway) -> None:
    """Also where the end of the body comes after `[DONE]`; what aiohttp does then is its own matter."""

    async def is_kept() -> bool:
        idle = REGISTRY.get_sample_value("edge_upstream_connections", {"state": "idle"})
        return idle == 1 or CLIENT is ClientKind.AIOHTTP

    for _ in range(2):
        async with gateway.post(stream=True, script={"tokens": 1, "before_end_s": 0.1}) as response:
            await events(response)
        await eventually(is_kept, what="the connection to be kept")


@pytest.mark.parametrize("position", ["twice", "last"])
async def test_usage_counts_wherever_it_comes_and_the_last_one_wins(gateway: Gateway, position: str) -> None:
    async with gateway.post(stream=True, script={"tokens": 5, "usage_position": position}) as response:
        await events(response)
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.output_tokens, record.estimated) == (7, 5, False)


@pytest.mark.parametrize("usage", ["omit", {"prompt_tokens": -1}, None])
async def test_a_stream_without_usage_to_believe_is_counted_by_us(gateway: Gateway, usage: object) -> None:
    async with gateway.post(stream=True, script={"tokens": 10, "usage": usage}) as response:
        await events(response)
    record = gateway.purse.final[0]
    assert (record.output_tokens, record.estimated) == (10, True)


async def test_reasoning_counts_as_output(gateway: Gateway) -> None:
    async with gateway.post(stream=True, script={"tokens": 6, "usage": "omit", "reasoning": True}) as response:
        await events(response)
    assert gateway.purse.final[0].output_tokens == 6


async def test_a_stream_that_only_lacks_its_done_gets_one(gateway: Gateway) -> None:
    async with gateway.post(stream=True, script={"tokens": 1, "done": False}) as response:
        got = await events(response)
    assert got[-1] == "[DONE]"
    assert gateway.purse.final[0].status is Status.SUCCESS


async def test_several_answers_in_one_stream_all_count(gateway: Gateway) -> None:
    async with gateway.post(stream=True, n=3, script={"tokens": 4, "usage": "omit"}) as response:
        got = await events(response)
    assert sum(len(one["choices"]) for one in got[:-1]) == 3 * 5
    assert gateway.purse.final[0].output_tokens == 12


async def test_an_upstream_that_ignores_the_limit_is_cut_off_and_cannot_overspend(gateway: Gateway) -> None:
    # Paced, so that it is not done before anybody can tell it to stop.
    script = {"ignore_limit": 900, "usage": "omit", "before_token_s": 0.005}
    async with gateway.post(stream=True, max_tokens=10, script=script) as response:
        got = await events(response)
        request_id = response.headers["x-request-id"]
    assert got[-1] == "[DONE]"
    assert got[-2]["choices"][0]["finish_reason"] == "length"
    record = gateway.purse.final[0]
    assert (record.status, record.finish_reason, record.output_tokens) == (Status.SUCCESS, "length", 41)
    assert record.cost_nanos == record.input_tokens * 100 + 41 * 300

    async def aborted() -> bool:
        return bool((await gateway.tally(request_id))["aborted"])

    await eventually(aborted, what="the upstream to be told")


@pytest.mark.parametrize("cut", [0, 1, 100, 171, 172, 300])
async def test_an_upstream_that_breaks_off_is_an_error_and_costs_nothing(gateway: Gateway, cut: int) -> None:
    async with gateway.post(stream=True, script={"tokens": 10, "cut_after_bytes": cut}) as response:
        got = await events(response)
    assert got[-1] == "[DONE]"
    assert got[-2]["error"]["code"] == "upstream_failed"
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.error_code) == (Status.ERROR, 0, "upstream_failed")
    assert (record.uncharged_nanos > 0) == (len(got) > 2)
    assert gateway.purse.balance_nanos == 10**12


async def test_an_error_within_a_stream_ends_it_and_shows_no_secrets(gateway: Gateway) -> None:
    text = 'data: {"error": {"message": "hidden:latest at http://10.0.0.7:11434 says upstream-secret"}}\n\n'
    script = {"body": text, "headers": {"content-type": "text/event-stream"}}
    async with gateway.post(stream=True, script=script) as response:
        got = await events(response)
    message = got[0]["error"]["message"]
    assert "test/chat" in message
    assert not any(word in message for word in ("hidden", "10.0.0.7", "upstream-secret"))
    assert got[1:] == ["[DONE]"]
    assert gateway.purse.final[0].cost_nanos == 0


@pytest.mark.parametrize("text", ["<html>no</html>", '{"choices": []}'])
async def test_an_answer_that_is_no_stream_is_a_failed_upstream(gateway: Gateway, text: str) -> None:
    async with gateway.post(stream=True, script={"body": text}) as response:
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "upstream_failed"


async def test_a_client_that_leaves_pays_for_what_was_delivered_and_the_upstream_stops(gateway: Gateway) -> None:
    async with gateway.post(stream=True, script={"tokens": 500, "before_token_s": 0.02}) as response:
        request_id = response.headers["x-request-id"]
        for _ in range(4):
            await response.content.readline()
    record = await final(gateway)
    assert (record.status, record.estimated, record.http_status) == (Status.CANCELLED, True, 499)
    assert 2 <= record.output_tokens < 100
    assert record.cost_nanos == record.input_tokens * 100 + record.output_tokens * 300

    async def aborted() -> bool:
        return bool((await gateway.tally(request_id))["aborted"])

    await eventually(aborted, within_s=1.0, what="the upstream to be told")


async def test_a_client_that_leaves_after_the_finish_reason_pays_by_the_usage(gateway: Gateway) -> None:
    script = {"tokens": 2, "hang_after_tokens": None, "usage": "true"}
    async with gateway.post(stream=True, script=script) as response:
        async for line in response.content:
            if b'"finish_reason": "stop"' in line:
                break
    record = await final(gateway)
    assert (record.status, record.output_tokens, record.estimated) == (Status.SUCCESS, 2, False)


async def test_a_client_that_leaves_before_the_first_token_stops_the_upstream(gateway: Gateway) -> None:
    await gateway.leave(stream=True, script={"before_headers_s": 30}, once=lambda: True)
    record = await final(gateway)
    assert (record.status, record.output_tokens) == (Status.CANCELLED, 0)
    tally = await gateway.tally(record.request_id)
    assert tally["output_tokens"] == 0


async def test_while_an_upstream_is_silent_the_client_gets_comments_then_an_error(beating: Gateway) -> None:
    beating.hurry()
    async with beating.post(stream=True, script={"before_headers_s": 30}) as response:
        assert response.status == 200
        text = await response.text()
    assert text.startswith(": keep-alive\n\n: keep-alive\n\n")
    assert '"code":"upstream_timeout"' in text
    assert text.endswith("data: [DONE]\n\n")
    assert beating.purse.final[0].error_code == "upstream_timeout"


async def test_an_upstream_that_hangs_in_the_middle_times_out_and_costs_nothing(gateway: Gateway) -> None:
    gateway.hurry()
    async with gateway.post(stream=True, script={"tokens": 5, "hang_after_tokens": 3}) as response:
        got = await events(response)
    assert got[-2]["error"]["code"] == "upstream_timeout"
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.output_tokens) == (Status.ERROR, 0, 3)


async def test_a_drain_lets_short_streams_finish_and_ends_long_ones_with_an_error(gateway: Gateway) -> None:
    long = gateway.post(stream=True, script={"tokens": 900, "before_token_s": 0.02})
    short = gateway.post(stream=True, script={"tokens": 5, "before_token_s": 0.02})
    async with long as one, short as other:
        drain = asyncio.create_task(gateway.running.drain(2.0))
        assert (await events(other))[-2]["choices"][0]["finish_reason"] == "stop"
        got = await events(one)
        await drain
    assert got[-2]["error"]["code"] == "service_unavailable"
    assert got[-1] == "[DONE]"
    statuses = sorted((record.status, record.cost_nanos > 0) for record in gateway.purse.final)
    assert statuses == [(Status.SUCCESS, True), (Status.ERROR, False)]


async def test_a_slow_client_slows_its_upstream_and_loses_nothing(gateway: Gateway) -> None:
    async with gateway.post(stream=True, max_tokens=1000, script={"tokens": 1000}) as response:
        await asyncio.sleep(0.5)
        got = await events(response)
    assert len(got) == 1000 + 2
    assert gateway.purse.final[0].status is Status.SUCCESS
