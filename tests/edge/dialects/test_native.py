"""Upstreams that speak a client's dialect pass through unchanged, but for the model's name; and they are understood."""

import json
from typing import Any

import pytest

from edge.dialects.messages_native import MessagesNative
from edge.dialects.responses_native import ResponsesNative
from edge.dialects.translator import Translator
from edge.errors import EdgeError
from edge.v1.answers import Chunk, Counter
from edge.v1.sse import Event
from edge.v1.usage import Usage, read_usage
from tests.edge.dialects.saying import ABOUT, USAGE, dump, heard, tell, usage_in


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: " + one["type"].encode() + b"\ndata: " + dump(one) + b"\n\n" for one in events)


def counted(translator: Translator, *events: dict[str, Any]) -> tuple[int, list[str | None]]:
    """Our count of the output, and the finish reasons."""
    counter = Counter()
    finishes = []
    for event in events:
        for choice in translator.read(dump(event)).choices or ():
            counter.add(choice)
            finishes.append(choice.finish_reason)
    return counter.output_tokens, [finish for finish in finishes if finish]


MESSAGE_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "hidden",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 5,
            "output_tokens": 1,
        },
    },
}
MESSAGES: list[dict[str, Any]] = [
    MESSAGE_START,
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s" * 500}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": 'the "model"'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "model": "hidden",
    "status": "in_progress",
    "output": [],
    "error": None,
}
COMPLETED = RESPONSE | {
    "status": "completed",
    "usage": {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 21,
    },
}
ITEM = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESPONSES: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    {"type": "response.in_progress", "sequence_number": 1, "response": RESPONSE},
    {"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": {"type": "message"}},
    {"type": "response.output_text.delta", "sequence_number": 3, "output_index": 0, "delta": 'the "model"'},
    {"type": "response.reasoning_summary_text.delta", "sequence_number": 4, "output_index": 0, "delta": "hm"},
    {"type": "response.odd.delta", "sequence_number": 5, "delta": {"new": 1}},
    {"type": "response.output_item.added", "sequence_number": 6, "item": ITEM | {"arguments": ""}},
    {"type": "response.function_call_arguments.delta", "sequence_number": 7, "delta": "{}"},
    {"type": "response.output_item.done", "sequence_number": 8, "item": ITEM},
    {"type": "response.completed", "sequence_number": 9, "response": COMPLETED | {"output": [ITEM]}},
]


def renamed(events: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    return [
        event | {field: event[field] | {"model": "privaterouter/fast"}} if "model" in event.get(field, {}) else event
        for event in events
    ]


def test_a_message_passes_through_under_the_public_name_and_its_end_waits() -> None:
    saying = MessagesNative(ABOUT)
    told = tell(saying, [stream(*MESSAGES)])
    assert told == stream(*renamed(MESSAGES[:-1], "message"))
    assert saying.over
    assert saying.end(USAGE) == stream(MESSAGES[-1])


def test_a_message_is_counted_and_its_usage_is_read_from_both_of_its_places() -> None:
    assert counted(MessagesNative(ABOUT), *MESSAGES) == (4, ["tool_calls"])
    assert usage_in(MessagesNative(ABOUT), MESSAGES) == Usage(12, 9, 4, 0, 5)
    assert usage_in(MessagesNative(ABOUT), MESSAGES[:-2]) is None


@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons_are_noted_in_chats_words(theirs: str, ours: str) -> None:
    assert counted(MessagesNative(ABOUT), {"type": "message_delta", "delta": {"stop_reason": theirs}})[1] == [ours]
    whole = {"type": "message", "content": [], "stop_reason": theirs}
    assert counted(MessagesNative(ABOUT), whole)[1] == [ours]


def test_a_message_that_we_end_at_the_limit_is_ended_as_an_upstream_does() -> None:
    for upto, open_blocks in ((8, [1]), (9, [])):
        saying = MessagesNative(ABOUT)
        told = tell(saying, [stream(*MESSAGES[:upto])])
        last = saying.cut(Chunk(), [0]) + saying.end(USAGE)
        assert heard(last) == [
            *({"type": "content_block_stop", "index": index} for index in open_blocks),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
                "usage": {
                    "input_tokens": 5,
                    "cache_creation_input_tokens": 1,
                    "cache_read_input_tokens": 4,
                    "output_tokens": 5,
                },
            },
            {"type": "message_stop"},
        ]
        assert told


def test_a_message_without_its_last_event_gets_it() -> None:
    saying = MessagesNative(ABOUT)
    tell(saying, [stream(*MESSAGES[:-1])])
    assert heard(saying.end(USAGE)) == [{"type": "message_stop"}]


def test_an_error_in_a_message() -> None:
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    chunk = MessagesNative(ABOUT).read(dump(said))
    assert chunk.has_error
    assert json.loads(bytes(chunk.error)) == said["error"]
    (event,) = heard(MessagesNative(ABOUT).failure(EdgeError("service_unavailable", "Busy.")))
    assert (event["type"], event["error"]["type"]) == ("error", "overloaded_error")


def test_a_whole_message() -> None:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "hidden",
        "content": [
            {"type": "thinking", "thinking": "hm hm", "signature": "s"},
            {"type": "text", "text": "12345"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"model": 1}},
            {"type": "odd", "text": 7},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    saying = MessagesNative(ABOUT)
    read = saying.read(dump(body))
    assert json.loads(saying.whole(dump(body), read)) == body | {"model": "privaterouter/fast"}
    assert read_usage(read.usage, text_delivered=True) == Usage(3, 4)
    made = len("hm hm" + "12345" + "f" + '{"model":1}' + '{"type":"odd","text":7}')
    assert counted(MessagesNative(ABOUT), body) == (made // 5, ["stop"])


def test_a_response_passes_through_under_the_public_name_and_its_end_waits() -> None:
    saying = ResponsesNative(ABOUT)
    told = tell(saying, [stream(*RESPONSES)])
    expected = renamed(RESPONSES, "response")
    assert told == stream(*expected[:-1])
    assert saying.over
    assert saying.end(USAGE) == stream(expected[-1])


def test_a_response_is_counted_and_its_usage_is_read() -> None:
    assert counted(ResponsesNative(ABOUT), *RESPONSES) == (5, ["tool_calls"])
    assert usage_in(ResponsesNative(ABOUT), RESPONSES) == Usage(12, 9, 4, 2)


SHELL = {"type": "local_shell_call", "id": "ls_1", "call_id": "c1", "action": {"type": "exec", "command": ["ls", "-l"]}}
PATCH = {"type": "apply_patch_call", "id": "ap_1", "operation": {"type": "delete_file", "path": "a/long/name.py"}}
CUSTOM = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "sql", "input": "select 1 from here"}


@pytest.mark.parametrize(
    "item, made",
    [
        (SHELL, '{"type":"exec","command":["ls","-l"]}'),
        (PATCH, '{"type":"delete_file","path":"a/long/name.py"}'),
        (CUSTOM, "sqlselect 1 from here"),
    ],
)
def test_a_call_that_comes_at_once_is_counted_when_it_is_done(item: dict[str, Any], made: str) -> None:
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": item["type"]}},
        {"type": "response.output_item.done", "output_index": 1, "item": item},
        {"type": "response.completed", "response": COMPLETED | {"output": [item]}},
    ]
    beside_name = len(made.removeprefix("sql"))
    assert counted(ResponsesNative(ABOUT), *events) == (beside_name // 5, ["tool_calls"])
    assert counted(ResponsesNative(ABOUT), COMPLETED | {"output": [item]}) == (len(made) // 5, ["tool_calls"])


def test_a_call_that_came_in_deltas_is_counted_once() -> None:
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 1, "item": CUSTOM | {"input": ""}},
        {"type": "response.custom_tool_call_input.delta", "output_index": 1, "delta": CUSTOM["input"]},
        {"type": "response.output_item.done", "output_index": 1, "item": CUSTOM},
    ]
    assert counted(ResponsesNative(ABOUT), *events) == (len("sql" + CUSTOM["input"]) // 5, [])


@pytest.mark.parametrize(
    "reason, ours", [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")]
)
def test_why_a_response_is_incomplete_is_noted_in_chats_words(reason: str | None, ours: str) -> None:
    response = COMPLETED | {"status": "incomplete", "incomplete_details": reason and {"reason": reason}}
    event = {"type": "response.incomplete", "sequence_number": 9, "response": response}
    assert counted(ResponsesNative(ABOUT), event)[1] == [ours]
    assert counted(ResponsesNative(ABOUT), response)[1] == [ours]


def test_a_response_that_we_end_at_the_limit_is_incomplete() -> None:
    saying = ResponsesNative(ABOUT)
    tell(saying, [stream(*RESPONSES[:-1])])
    (event,) = heard(saying.cut(Chunk(), [0]) + saying.end(USAGE))
    assert event == {
        "type": "response.incomplete",
        "sequence_number": 9,
        "response": RESPONSE
        | {
            "model": "privaterouter/fast",
            "status": "incomplete",
            "output": [ITEM],
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 15,
            },
        },
    }


def test_a_response_that_was_complete_when_it_passed_the_limit_stays_so() -> None:
    saying = ResponsesNative(ABOUT)
    tell(saying, [stream(*RESPONSES)])
    (event,) = heard(saying.cut(Chunk(), []) + saying.end(USAGE))
    assert event["type"] == "response.completed"


@pytest.mark.parametrize(
    "said, error",
    [
        ({"type": "error", "code": "x", "message": "boom"}, {"type": "error", "code": "x", "message": "boom"}),
        ({"type": "error", "error": {"message": "boom"}}, {"message": "boom"}),
        ({"type": "response.failed", "response": RESPONSE | {"error": {"message": "boom"}}}, {"message": "boom"}),
        ({"type": "response.failed", "response": RESPONSE}, {}),
        (RESPONSE | {"status": "failed", "error": {"message": "boom"}}, {"message": "boom"}),
    ],
)
def test_errors_in_a_response(said: dict[str, Any], error: Any) -> None:
    chunk = ResponsesNative(ABOUT).read(dump(said))
    assert chunk.has_error
    assert json.loads(bytes(chunk.error)) == error


def test_a_response_that_fails_with_us_says_so() -> None:
    saying = ResponsesNative(ABOUT)
    tell(saying, [stream(*RESPONSES[:4])])
    error, failed = heard(saying.failure(EdgeError("upstream_failed", "It broke.")))
    assert (error["type"], error["sequence_number"], error["message"]) == ("error", 4, "It broke.")
    assert (failed["type"], failed["sequence_number"], failed["response"]["status"]) == ("response.failed", 5, "failed")
    assert failed["response"]["id"] == "resp_1"
    assert [event["type"] for event in heard(ResponsesNative(ABOUT).failure(EdgeError("upstream_failed", "x")))] == [
        "error"
    ]


def test_a_whole_response() -> None:
    body = COMPLETED | {
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]},
            ITEM,
            {"type": "odd", "arguments": {"model": 1}},
        ]
    }
    saying = ResponsesNative(ABOUT)
    read = saying.read(dump(body))
    assert json.loads(saying.whole(dump(body), read)) == body | {"model": "privaterouter/fast"}
    made = len("hm" + "Hello" + "f{}" + '{"type":"odd","arguments":{"model":1}}')
    assert counted(ResponsesNative(ABOUT), body) == (made // 5, ["tool_calls"])


@pytest.mark.parametrize("make", [MessagesNative, ResponsesNative])
def test_what_is_no_json_object_is_no_answer(make: type[MessagesNative] | type[ResponsesNative]) -> None:
    for data in (b"", b"[1]", b"<html>", b'{"usage":' + b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            make(ABOUT).read(data)


@pytest.mark.parametrize("make", [MessagesNative, ResponsesNative])
def test_what_is_new_passes_through(make: type[MessagesNative] | type[ResponsesNative]) -> None:
    saying = make(ABOUT)
    data = b'{"type": "brand.new", "x": [1]}'
    event = Event(b"event: brand.new\ndata: " + data + b"\n\n", data, "brand.new")
    assert saying.event(event, saying.read(data)) == event.raw
