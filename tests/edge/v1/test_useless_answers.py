"""A 200 that holds no answer is a failure: another upstream is asked while the client has seen nothing of one."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from edge.money.records import Status
from edge.upstream.members import FAILURES
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import ROUTE, Gateway, model, running_gateway
from tests.edge.v1.test_rerouting import COST, attempts
from tests.edge.v1.test_stream import final
from tests.support.waiting import eventually

SSE = {"content-type": "text/event-stream"}
FINE: dict[str, Any] = {"tokens": 3}
BILLED = {"prompt_tokens": 900, "completion_tokens": 900, "total_tokens": 1800}
CLAIM = f'"usage":{json.dumps(BILLED)}}}'
GOOD = ("good", 200, "")


@pytest.fixture(params=[False, True], ids=["translated", "native"])
async def gateway(upstream_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """A gateway in front of a bad upstream and a good one, which speak all dialects or chat completions only."""
    async with running_gateway(upstream_url, patience=PATIENCE) as running:
        snapshot = running.catalogue.snapshot
        dialects = frozenset({"responses", "messages"}) if request.param else frozenset()
        default = replace(snapshot.upstreams["default"], dialects=dialects)
        upstreams = {name: replace(default, name=name, base_url=f"{upstream_url}/{name}") for name in ("bad", "good")}
        bad = replace(ROUTE, upstream_name="bad")
        good = replace(ROUTE, upstream_name="good", position=1)
        models = {"test/two": model("test/two", routes=(bad, good)), "test/one": model("test/one", routes=(bad,))}
        plan = replace(snapshot.plans["test"], allowed_models=frozenset(models))
        running.catalogue.snapshot = replace(snapshot, models=models, plans={"test": plan}, upstreams=upstreams)
        yield running
        assert len(running.running) == 0
        assert running.purse.held == set()


PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/messages"]
FAILED, SILENT = ("bad", 200, "upstream_failed"), ("bad", 200, "upstream_timeout")
WHOLE: dict[str, tuple[dict[str, Any], tuple[str, int, str]]] = {
    "a page": ({"body": "<html>502</html>"}, FAILED),
    "an empty object": ({"body": "{}"}, FAILED),
    "an error": ({"body": '{"error":{"message":"out of memory"},' + CLAIM}, FAILED),
    "nothing": ({"body": ""}, FAILED),
    "embeddings": ({"body": '{"object":"list","data":[{"index":0,"embedding":[0.1]}],' + CLAIM}, FAILED),
    "no choices": ({"body": '{"choices":[],' + CLAIM}, FAILED),
    "cut after the head": ({"body": "{" + " " * 99, "cut_after_bytes": 0}, FAILED),
    "cut in the body": ({"tokens": 9, "cut_after_bytes": 40}, FAILED),
    "silence in the body": ({"body": '{"choices":', "hang_after_body": True}, SILENT),
}
STREAMED: dict[str, tuple[dict[str, Any], tuple[str, int, str]]] = {
    "an error": ({"body": 'data: {"error":{"message":"no"},' + CLAIM + "\n\n", "headers": SSE}, FAILED),
    "an error after comments": ({"body": ': hm\n\n\n\ndata: {"error":"no"}\n\n', "headers": SSE}, FAILED),
    "an event named error": ({"body": 'event: error\ndata: {"message":"no"}\n\n', "headers": SSE}, FAILED),
    "a page": ({"body": "<html>\n\n<h1>502</h1></html>", "headers": SSE}, FAILED),
    "a page in pieces": ({"body": "<html><h1>502</h1></html>", "headers": SSE, "piece_bytes": 9}, FAILED),
    "comments": ({"body": ": hm\n\n" * 9, "headers": SSE, "piece_bytes": 5}, FAILED),
    "many comments": ({"body": (": " + "hm" * 999 + "\n\n") * 99, "headers": SSE}, FAILED),
    "comments, then silence": ({"body": ": hm\n\n", "headers": SSE, "hang_after_body": True}, SILENT),
    "its end": ({"body": "data: [DONE]\n\n", "headers": SSE}, FAILED),
}


async def said_by(response: Any) -> str:
    text: str = await response.text()
    assert response.status == 200
    return text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", WHOLE)
async def test_another_upstream_answers_in_the_place_of_a_whole_answer_that_is_none(
    gateway: Gateway, fault: str, path: str
) -> None:
    bad, failed = WHOLE[fault]
    if failed is SILENT:
        gateway.hurry("bad")
    async with gateway.post(path, model="test/two", script={"at": {"bad": bad, "good": FINE}}) as response:
        assert "tok tok tok " in await said_by(response)
    (record,) = gateway.purse.final
    assert attempts(record) == [failed, GOOD]
    assert (record.status, record.upstream_name, record.error_code) == (Status.SUCCESS, "good", "")
    assert (record.cost_nanos, record.uncharged_nanos, record.estimated) == (COST, 0, False)
    assert gateway.purse.balance_nanos == 10**12 - COST


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", STREAMED)
async def test_another_upstream_answers_in_the_place_of_a_stream_without_an_answer(
    gateway: Gateway, fault: str, path: str
) -> None:
    bad, failed = STREAMED[fault]
    if failed is SILENT:
        gateway.hurry("bad")
    script = {"at": {"bad": bad, "good": FINE}}
    async with gateway.post(path, model="test/two", stream=True, script=script) as response:
        text = await said_by(response)
    assert text.count("tok ") >= 3
    assert {line.partition(" ")[0] for line in text.splitlines()} <= {
        "data:",
        "event:",
        "",
    }
    assert '"error":{' not in text
    (record,) = gateway.purse.final
    assert attempts(record) == [failed, GOOD]
    assert (record.status, record.upstream_name, record.error_code) == (Status.SUCCESS, "good", "")
    assert (record.cost_nanos, record.uncharged_nanos, record.estimated) == (COST, 0, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_useless_answer_of_the_only_upstream_is_an_error_that_names_its_try(
    gateway: Gateway, stream: bool
) -> None:
    bad = {"body": "<html>", "headers": SSE if stream else {}}
    async with gateway.post(model="test/one", stream=stream, script={"at": {"bad": bad}}) as response:
        assert response.status == (200 if stream else 502)
        assert '"code":"upstream_failed"' in (await response.text()).replace(": ", ":")
    (record,) = gateway.purse.final
    assert (attempts(record), record.error_code) == ([FAILED], "upstream_failed")
    assert (record.status, record.cost_nanos, record.uncharged_nanos) == (Status.ERROR, 0, 0)


async def test_useless_answers_eject_their_upstream(gateway: Gateway) -> None:
    script = {"at": {"bad": {"body": "{}"}, "good": FINE}}
    for _ in range(FAILURES + 1):
        async with gateway.post(model="test/two", script=script) as response:
            assert response.status == 200
    assert [attempts(record) for record in gateway.purse.final] == [[FAILED, GOOD]] * FAILURES + [[]]


async def test_who_leaves_in_the_middle_of_a_whole_answer_pays_for_the_prompt(gateway: Gateway) -> None:
    bad = {"body": '{"choices":', "hang_after_body": True}
    await gateway.leave(model="test/two", script={"at": {"bad": bad}}, once=lambda: True)
    record = await final(gateway)
    assert (record.status, record.upstream_name, attempts(record)) == (Status.CANCELLED, "bad", [])
    assert record.cost_nanos == record.input_tokens * 100 > 0

    async def aborted() -> bool:
        return bool((await gateway.tally(record.request_id))["aborted"])

    await eventually(aborted, within_s=1.0, what="the upstream to be told")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_waited_for_while_something_comes(gateway: Gateway, stream: bool) -> None:
    """The limit of a silence is a second, and the answer takes longer."""
    gateway.hurry("bad")
    good = json.dumps({"choices": [{"message": {"content": "tok "}, "finish_reason": "stop"}]})
    event = 'data: {"choices":[{"delta":{"content":"tok "},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    text = ": wait\n\n" * 9 + event if stream else " " * 80 + good
    bad = {"body": text, "headers": SSE if stream else {}, "piece_bytes": 9, "between_pieces_s": 0.15}
    async with gateway.post(model="test/two", stream=stream, script={"at": {"bad": bad, "good": FINE}}) as response:
        assert "tok " in await said_by(response)
    (record,) = gateway.purse.final
    assert (record.status, record.upstream_name, attempts(record)) == (Status.SUCCESS, "bad", [])


async def test_the_content_type_of_a_stream_may_be_written_in_any_case(gateway: Gateway) -> None:
    event = 'data: {"choices":[{"delta":{"content":"tok "},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    bad = {"body": event, "headers": {"content-type": "Text/Event-Stream; charset=UTF-8"}}
    async with gateway.post(model="test/two", stream=True, script={"at": {"bad": bad}}) as response:
        assert "tok " in await said_by(response)
    assert attempts(gateway.purse.final[0]) == []


@pytest.mark.parametrize(
    "body", ["{}", '{"data":null}', '{"data":{}}', '{"data":[ ],' + CLAIM, '{"choices":[{"text":"a"}]}']
)
async def test_another_upstream_embeds_where_one_sends_no_embeddings(gateway: Gateway, body: str) -> None:
    snapshot = gateway.catalogue.snapshot
    embedding = replace(snapshot.models["test/two"], kind="embedding", max_output_tokens=0)
    gateway.catalogue.snapshot = replace(snapshot, models={**snapshot.models, "test/two": embedding})
    script = {"at": {"bad": {"body": body}, "good": {}}}
    async with gateway.post("/v1/embeddings", model="test/two", input="Hi.", script=script) as response:
        assert (response.status, len((await response.json())["data"])) == (200, 1)
    (record,) = gateway.purse.final
    assert attempts(record) == [FAILED, GOOD]
    assert (record.status, record.upstream_name, record.uncharged_nanos) == (Status.SUCCESS, "good", 0)
