"""What upstreams send that is no textbook stream: passed on as it came, or a clear failure, and never a wrong bill."""

import json
from typing import Any

import pytest

from edge.money.records import Status
from tests.edge.v1.gateway import Gateway
from tests.support.waiting import eventually

SSE = {"content-type": "text/event-stream"}
HIDDEN, PUBLIC = b'"model":"hidden:latest"', b'"model":"test/chat"'
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def event(end: str = "\n", **fields: Any) -> str:
    """One event with these fields, as compact JSON."""
    return f"data: {json.dumps({'id': 'c-1', 'model': 'hidden:latest', **fields}, separators=(',', ':'))}{end}{end}"


def choice(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta or {}, "finish_reason": finish, **more}


def first(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The first piece of an answer."""
    return choice({"role": "assistant", **delta}, **more)


TEXT = event(choices=[first({"content": "tok "})])
STOP = event(choices=[choice(finish="stop")])
SPENT = event(choices=[], usage=USAGE)
DONE = "data: [DONE]\n\n"

WHOLE = {
    "tool calls": event(choices=[first({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]})])
    + event(choices=[choice({"tool_calls": [{"index": 0, "function": {"arguments": '{"model": "x"}'}}]})])
    + event(choices=[choice(finish="tool_calls")]),
    "reasoning": event(choices=[first({"reasoning_content": "hm "})])
    + event(choices=[choice({"reasoning": "hm ", "reasoning_details": [{"type": "reasoning.text", "text": "hm "}]})])
    + STOP,
    "logprobs": event(choices=[first({"content": "a"}, logprobs={"content": [{"token": "a", "logprob": -0.5}]})])
    + STOP,
    "audio": event(choices=[first({"audio": {"id": "a", "data": "UklGRg==", "transcript": "Hi"}})]) + STOP,
    "images": event(choices=[first({"images": [{"type": "image_url", "image_url": {"url": "data:,"}}]})]) + STOP,
    "parts": event(choices=[first({"content": [{"type": "text", "text": "Hi"}]})]) + STOP,
    "pings": ": ping - 12:00\n\nevent: ping\ndata: 12:00\n\n" + TEXT + 'event: ping\ndata: {"type": "ping"}\n\n' + STOP,
    "comments": ":\n\n" + ": hello\n" + TEXT + ": OPENROUTER PROCESSING\n\nid: 7\nretry: 3000\n\n" + STOP,
    "fields beside the data": "event: message\nid: 7\n" + TEXT + STOP,
    "empty data": "data:\n\n" + TEXT + "data\n\n" + STOP,
    "empty choices": event(choices=[], prompt_filter_results=[]) + TEXT + event(choices=[]) + STOP,
    "carriage returns": event("\r\n", choices=[first({"content": "a"})]) + event("\r", choices=[choice(finish="stop")]),
    "too many empty lines": "\n\n\r\n" + TEXT + "\n\n\n" + STOP,
    "characters of many bytes": event(choices=[first({"content": "\N{PARTY POPPER}\u0301\u2028"})])
    + 'data: {"choices":[{"delta":{"content":"\N{PARTY POPPER}é"}}],"model":"hidden:latest"}\n\n'
    + STOP,
    "characters in halves": event(choices=[first({"content": "HALF"})]).replace("HALF", "a\\ud83d")
    + event(choices=[choice({"content": "HALF"})]).replace("HALF", "\\uDE00")
    + STOP,
    "unknown fields": event(choices=[first({"new": {"model": "inner"}})], more=[1, 2.50, None]) + TEXT + STOP,
    "several lines of data": 'data: {"choices":[],\ndata: "x":1}\n\n' + TEXT + STOP,
}


@pytest.mark.parametrize("piece_bytes", [None, 13])
@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
async def test_a_stream_passes_byte_for_byte_but_for_the_models_name(
    gateway: Gateway, text: str, piece_bytes: int | None
) -> None:
    script = {"body": text + SPENT + DONE, "headers": SSE, "piece_bytes": piece_bytes}
    async with gateway.post(stream=True, script=script) as response:
        got = await response.read()
    assert got == text.encode().replace(HIDDEN, PUBLIC) + DONE.encode()
    record = gateway.purse.final[0]
    assert (record.status, record.input_tokens, record.output_tokens) == (Status.SUCCESS, 7, 5)
    assert (record.estimated, record.cost_nanos) == (False, 7 * 100 + 5 * 300)


async def test_several_choices_pass_in_the_order_in_which_they_came(gateway: Gateway) -> None:
    chunks = [
        event(choices=[first({"content": "a"}), first({"content": "b"}) | {"index": 1}]),
        event(choices=[choice({"content": "c"}) | {"index": 1}]),
        event(choices=[choice(finish="stop") | {"index": 1}]),
        event(choices=[choice({"content": "d"})]),
        event(choices=[choice(finish="length")]),
    ]
    script = {"body": "".join(chunks) + DONE, "headers": SSE}
    async with gateway.post(stream=True, n=2, script=script) as response:
        got = await response.read()
    assert got == ("".join(chunks) + DONE).encode().replace(HIDDEN, PUBLIC)
    record = gateway.purse.final[0]
    assert (record.output_tokens, record.estimated, record.finish_reason) == (4, True, "stop")


@pytest.mark.parametrize("told", [1, 2], ids=["once, as LiteLLM passes it on", "by every answer, as llama.cpp does"])
async def test_a_usage_of_one_answer_is_not_taken_for_that_of_all(gateway: Gateway, told: int) -> None:
    said = [event(choices=[choice({"content": "tok "}) | {"index": index}]) for index in (0, 1) * 4]
    ends = [event(choices=[choice(finish="length") | {"index": index}]) for index in (0, 1)]
    one = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11})
    script = {"body": "".join(said + ends) + one * told + DONE, "headers": SSE}
    async with gateway.post(stream=True, n=2, script=script) as response:
        assert (await response.read()).endswith(DONE.encode())
    record = gateway.purse.final[0]
    assert (record.status, record.input_tokens, record.output_tokens) == (Status.SUCCESS, 7, 8)
    assert (record.estimated, record.cost_nanos) == (True, 7 * 100 + 8 * 300)


@pytest.mark.parametrize(
    "text",
    [
        TEXT + SPENT + STOP,
        TEXT + event(choices=[choice({"content": "a"})], usage=USAGE) + STOP,
        event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1}) + TEXT + STOP + SPENT,
        TEXT + event(choices=[choice(finish="stop")], usage=USAGE),
        TEXT + STOP + SPENT + SPENT,
    ],
    ids=["in the middle", "with text", "twice", "with the last choice", "twice at the end"],
)
@pytest.mark.parametrize("done", ["", DONE], ids=["no done", "done"])
async def test_usage_counts_wherever_it_comes(gateway: Gateway, text: str, done: str) -> None:
    script = {"body": text + done, "headers": SSE}
    async with gateway.post(stream=True, script=script) as response:
        got = await response.read()
    assert got.endswith(DONE.encode())
    assert got.count(b"[DONE]") == 1
    record = gateway.purse.final[0]
    assert (record.status, record.input_tokens, record.output_tokens) == (Status.SUCCESS, 7, 5)
    assert (record.estimated, record.cost_nanos) == (False, 7 * 100 + 5 * 300)


@pytest.mark.parametrize("text", [SPENT.rstrip(), SPENT.rstrip() + "\n", SPENT + DONE.rstrip()])
async def test_a_last_event_without_its_empty_line_counts(gateway: Gateway, text: str) -> None:
    async with gateway.post(stream=True, script={"body": TEXT + STOP + text, "headers": SSE}) as response:
        got = await response.read()
    assert got == (TEXT + STOP + DONE).encode().replace(HIDDEN, PUBLIC)
    record = gateway.purse.final[0]
    assert (record.status, record.output_tokens, record.estimated) == (Status.SUCCESS, 5, False)


@pytest.mark.parametrize("failure", ["data: {}}\n\n", "event: error\ndata: {}\n\n", "<html>"])
@pytest.mark.parametrize("piece_bytes", [None, 13])
async def test_what_fails_after_a_complete_answer_does_not_make_it_a_failure(
    gateway: Gateway, failure: str, piece_bytes: int | None
) -> None:
    script = {"body": TEXT + STOP + SPENT + failure, "headers": SSE, "piece_bytes": piece_bytes}
    async with gateway.post(stream=True, script=script) as response:
        got = await response.read()
    assert got == (TEXT + STOP + DONE).encode().replace(HIDDEN, PUBLIC)
    record = gateway.purse.final[0]
    assert (record.status, record.output_tokens, record.estimated) == (Status.SUCCESS, 5, False)


async def test_a_stream_without_done_whose_connection_stays_open_is_ended_by_us(ending: Gateway) -> None:
    script = {"body": TEXT + STOP + SPENT, "headers": SSE, "hang_after_body": True}
    async with ending.post(stream=True, script=script) as response:
        got = await response.read()
    assert got == (TEXT + STOP + DONE).encode().replace(HIDDEN, PUBLIC)
    record = ending.purse.final[0]
    assert (record.status, record.output_tokens, record.estimated) == (Status.SUCCESS, 5, False)


async def test_cache_reads_and_writes_are_charged_at_their_own_prices(gateway: Gateway) -> None:
    details = {"cached_tokens": 20, "cache_write_tokens": 30}
    usage = {"prompt_tokens": 60, "completion_tokens": 5, "total_tokens": 65, "prompt_tokens_details": details}
    script = {"body": TEXT + STOP + event(choices=[], usage=usage) + DONE, "headers": SSE}
    async with gateway.post(stream=True, script=script) as response:
        await response.read()
    record = gateway.purse.final[0]
    assert (record.input_tokens, record.cached_input_tokens, record.cache_write_input_tokens) == (60, 20, 30)
    assert record.cache_write_input_nanos_per_mtok == 125_000_000
    assert record.cost_nanos == 10 * 100 + 20 * 50 + 30 * 125 + 5 * 300


SECRET = "hidden:latest at http://10.0.0.7:11434 says upstream-secret"
HTML = f"<!DOCTYPE html>\n<html>\n<body>\n\n<h1>502</h1> {SECRET}\n\n</body></html>\n"
FAILURES = {
    "an error object": 'data: {"error": {"message": "%s"}}\n\n',
    "an error text": 'data: {"error": "%s"}\n\n',
    "an event named error": 'event: error\ndata: {"message": "%s"}\n\n',
    "Anthropic's error": 'event: error\ndata: {"type":"error","error":{"message":"%s"}}\n\n',
    "an event named error, in plain words": "event: error\ndata: %s\n\n",
    "a field named error": 'error: {"message": "%s"}\n\n',
    "an error with usage": 'data: {"choices":[],"error":{"message":"%s"},"usage":{"prompt_tokens":7}}\n\n',
    "plain JSON": '{"error": {"message": "%s"}}',
    "a page": HTML.replace("%", "%%"),
    "a page of one line": "<html>%s</html>",
    "plain words": "Internal Server Error: %s\n",
    "no JSON": "data: %s\n\n",
    "JSON that is no object": 'data: ["%s"]\n\n',
    "an end without an answer": DONE,
    "nothing": "",
    "only comments": ": %s\n\n" + DONE,
}


def shown(text: str) -> list[Any]:
    """The data of the events of an answer; comments are none."""
    data = [one.removeprefix("data: ") for one in text.split("\n\n")[:-1] if not one.startswith(":")]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


@pytest.mark.parametrize(
    "before,failure",
    [
        pytest.param(before, failure, id=f"{name}{', in the middle' if before else ''}")
        for name, failure in FAILURES.items()
        for before in ("", TEXT)
        # With text before it, a [DONE] ends an answer.
        if not (before and failure.endswith(DONE))
    ],
)
async def test_a_failure_inside_a_200_is_an_error_and_costs_nothing(
    gateway: Gateway, failure: str, before: str
) -> None:
    body = before + (failure % SECRET if "%s" in failure else failure)
    async with gateway.post(stream=True, script={"body": body, "headers": SSE}) as response:
        text = await response.text()
    got = shown(text)
    assert got[-1] == "[DONE]"
    assert (got[-2]["error"]["type"], got[-2]["error"]["code"]) == ("upstream_error", "upstream_failed")
    assert len(got) == (3 if before else 2)
    assert "upstream-secret" not in text.replace(f": {SECRET}\n\n", "")
    record = gateway.purse.final[0]
    assert (record.status, record.error_code, record.cost_nanos) == (Status.ERROR, "upstream_failed", 0)
    assert (record.uncharged_nanos > 0) == bool(before)
    assert gateway.purse.balance_nanos == 10**12


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "text/plain", "application/json"])
async def test_a_page_in_the_place_of_a_stream_is_a_failed_upstream(gateway: Gateway, content_type: str) -> None:
    script = {"body": HTML, "headers": {"content-type": content_type}}
    async with gateway.post(stream=True, script=script) as response:
        assert response.status == 502
        answer = await response.json()
    assert answer["error"]["code"] == "upstream_failed"
    assert "upstream-secret" not in json.dumps(answer)
    assert gateway.purse.final[0].cost_nanos == 0


async def test_an_event_without_end_is_an_error_and_its_upstream_is_told(gateway: Gateway) -> None:
    script = {"tokens": 2, "padding_bytes": 17 * 1024 * 1024}
    async with gateway.post(stream=True, script=script) as response:
        got = shown(await response.text())
        request_id = response.headers["x-request-id"]
    assert "without end" in got[0]["error"]["message"]
    assert got[1:] == ["[DONE]"]
    assert gateway.purse.final[0].cost_nanos == 0

    async def aborted() -> bool:
        return bool((await gateway.tally(request_id))["aborted"])

    await eventually(aborted, within_s=1.0, what="the upstream to be told")
