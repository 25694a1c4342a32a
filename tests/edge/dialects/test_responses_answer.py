"""A chat completion is said as an OpenAI response, whole and as a stream that OpenAI's own types accept."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from edge.dialects.responses_answer import ResponsesOverChat
from edge.errors import EdgeError
from edge.v1.usage import Usage
from tests.edge.dialects.saying import ABOUT, OWN, USAGE, answer, call, chunk, dump, heard, say, stream_of, tell

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ASKED = {"model": "privaterouter/fast", "input": "Hi"}
RESPONSE = {
    "id": f"resp_{OWN}",
    "object": "response",
    "created_at": 1_700_000_000,
    "model": "privaterouter/fast",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    },
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
    "background": False,
    "previous_response_id": None,
    "store": False,
}


def translator(**request: Any) -> ResponsesOverChat:
    return ResponsesOverChat(ABOUT, dump(ASKED | request))


def message(text: str, *, number: int = 0, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {
        "id": f"msg_{OWN}{number:02x}", "status": status, "type": "message", "role": "assistant", "content": content
    }  # fmt: skip


def function_call(arguments: str, *, number: int, name: str, call_id: str, status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"fc_{OWN}{number:02x}",
        "status": status,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def check(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, which OpenAI's types accept and which are numbered."""
    for event in events:
        EVENTS.validate_python(event)
    assert [event.pop("sequence_number") for event in events] == list(range(len(events)))
    return events


def test_a_text_is_streamed_in_the_order_that_openai_documents() -> None:
    events = check(
        say(
            translator(),
            [
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "Hel"}),
                chunk({"content": "lo"}),
                chunk(finish="stop"),
                {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
            ],
        )
    )
    begun = RESPONSE | {"status": "in_progress", "usage": None}
    place = {"item_id": f"msg_{OWN}00", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": f"msg_{OWN}00", "type": "message", "role": "assistant"}
    assert events == [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": empty},
        {"type": "response.output_text.delta", **place, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": empty | {"text": "Hello"}},
        {"type": "response.output_item.done", "output_index": 0, "item": message("Hello")},
        {"type": "response.completed", "response": RESPONSE | {"output": [message("Hello")]}},
    ]


def test_reasoning_text_and_parallel_calls_follow_each_other() -> None:
    events = check(
        say(
            translator(),
            [
                chunk({"reasoning_content": "hm"}),
                chunk({"reasoning": " hm", "content": None}),
                chunk({"content": "I look."}),
                chunk(call(0, "f", "", "c1")),
                chunk(call(0, arguments='{"a":')),
                chunk(call(0, arguments="1}")),
                chunk(call(1, "g", "{}", "c2")),
                chunk(finish="tool_calls"),
            ],
        )
    )
    names = [event["type"].removeprefix("response.") for event in events]
    assert names == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event["output_index"] for event in events if "output_index" in event] == [0] * 7 + [1] * 6 + [2] * 5 + [
        3
    ] * 4
    assert events[18] == {
        "type": "response.function_call_arguments.done",
        "item_id": f"fc_{OWN}02",
        "output_index": 2,
        "arguments": '{"a":1}',
        "name": "f",
    }
    assert events[-1]["response"]["output"] == [
        {
            "id": f"rs_{OWN}00",
            "status": "completed",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm hm"}],
        },
        message("I look.", number=1),
        function_call('{"a":1}', number=2, name="f", call_id="c1"),
        function_call("{}", number=3, name="g", call_id="c2"),
    ]


@pytest.mark.parametrize("finish, reason", [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_off_is_incomplete(finish: str, reason: str) -> None:
    events = check(say(translator(), [chunk({"content": "Hel"}), chunk(finish=finish)]))
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete"
    assert events[-2]["item"] == message("Hel", status="incomplete")
    assert response == RESPONSE | {
        "status": "incomplete",
        "incomplete_details": {"reason": reason},
        "output": [message("Hel", status="incomplete")],
    }


def test_an_answer_that_we_end_at_the_limit_is_incomplete() -> None:
    saying = translator()
    last = chunk({"content": "Hel"})
    told = tell(saying, [stream_of([last])]) + saying.cut(saying.read(dump(last)), [0]) + saying.end(USAGE)
    assert heard(told)[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_an_answer_without_content_is_complete_and_empty() -> None:
    events = check(say(translator(), [chunk({"role": "assistant"}), chunk(finish="stop")]))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.completed"]
    assert events[-1]["response"] == RESPONSE
    assert [event["type"] for event in check(say(translator(), []))] == [event["type"] for event in events]


def test_an_error_in_the_stream_fails_the_response() -> None:
    saying = translator()
    told = tell(saying, [stream_of([chunk({"reasoning": "hm"}), chunk({"content": "Hel"})])])
    events = check(heard(told + saying.failure(EdgeError("upstream_failed", "It broke."))))
    assert events[-2] == {"type": "error", "code": "upstream_failed", "message": "It broke.", "param": None}
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.failed"
    assert (response["status"], response["error"]) == ("failed", {"code": "server_error", "message": "It broke."})
    assert [item["type"] for item in response["output"]] == ["reasoning"]


def test_an_error_before_anything_was_said_begins_the_response_first() -> None:
    events = check(heard(translator().failure(EdgeError("rate_limit_exceeded", "Slow down."))))
    assert [event["type"] for event in events] == [
        "response.created", "response.in_progress", "error", "response.failed"
    ]  # fmt: skip
    assert events[-1]["response"]["error"]["code"] == "rate_limit_exceeded"


def test_a_refusal_is_said_as_one() -> None:
    events = check(say(translator(), [chunk({"refusal": "No"}), chunk({"refusal": "."}), chunk(finish="stop")]))
    names = [event["type"].removeprefix("response.") for event in events[2:-1]]
    assert names == [
        "output_item.added", "content_part.added", "refusal.delta", "refusal.delta", "refusal.done",
        "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_logprobs_are_shown_where_they_were_asked_for() -> None:
    said = {
        "content": [{"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -1}]}]
    }
    shown = [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
        }
    ]
    chunks = [
        chunk({"content": "é"}, logprobs=said),
        chunk({"content": "e"}, logprobs={"content": "odd"}),
        chunk({"content": "é"}, logprobs=said),
        chunk(call(0, "f", "{}", "c1"), finish="tool_calls"),
    ]
    events = check(say(translator(include=["message.output_text.logprobs"]), chunks))
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [event["logprobs"] for event in deltas] == [shown, [], shown]
    (done,) = [event for event in events if event["type"] == "response.output_text.done"]
    assert done["logprobs"] == shown * 2
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == shown * 2
    silent = say(translator(), chunks)
    assert not any(event.get("logprobs") for event in silent)


def test_a_whole_answer() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    said = {"content": "Hello", "reasoning_content": "hm", "tool_calls": calls}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    got = answer(translator(), said, finish="tool_calls", usage=usage)
    Response.model_validate(got)
    assert got == RESPONSE | {
        "output": [
            {
                "id": f"rs_{OWN}00",
                "status": "completed",
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "hm"}],
            },
            message("Hello", number=1),
            function_call('{"a":1}', number=2, name="f", call_id="c1"),
        ]
    }


def test_a_whole_answer_that_was_cut_off_or_is_empty() -> None:
    cut = answer(translator(), {"content": "Hel"}, finish="length")
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert cut["output"] == [message("Hel", status="incomplete")]
    empty = answer(translator(), {"content": None})
    Response.model_validate(empty)
    assert (empty["status"], empty["output"]) == ("completed", [])


def test_a_whole_answer_without_usage_shows_our_count() -> None:
    got = answer(translator(), {"content": "Hello, you there"}, usage=None)
    assert (got["usage"]["input_tokens"], got["usage"]["output_tokens"]) == (7, 3)


def test_a_response_repeats_its_request() -> None:
    request: dict[str, Any] = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "top_p": 0.25,
        "max_output_tokens": 9,
        "parallel_tool_calls": False,
        "user": "u",
    }
    got = answer(translator(**request), {"content": "Hello"})
    Response.model_validate(got)
    assert {name: got[name] for name in request} == request


def test_line_breaks_in_a_request_do_not_break_events() -> None:
    body = json.dumps(ASKED | {"metadata": {"a": "b\nc"}, "tools": []}, indent=2).replace("\n", "\r\n").encode()
    events = check(say(ResponsesOverChat(ABOUT, body), [chunk({"content": "x"}), chunk(finish="stop")]))
    assert events[0]["response"]["metadata"] == {"a": "b\nc"}


def test_calls_without_ids_get_one() -> None:
    chunks = [chunk(call(0, "f", "{}", "")), chunk(call(1, "g", "{}")), chunk(finish="tool_calls")]
    output = say(translator(), chunks)[-1]["response"]["output"]
    assert [item["call_id"] for item in output] == [f"call_{OWN}00", f"call_{OWN}01"]


def test_what_is_charged_is_shown() -> None:
    events = say(translator(), [chunk({"content": "x"}, finish="stop")], Usage(3, 1, estimated=True))
    assert events[-1]["response"]["usage"]["total_tokens"] == 4
