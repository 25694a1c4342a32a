"""A chat completion is said as an Anthropic message, whole and as a stream that Anthropic's own types accept."""

from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from edge.dialects.messages_answer import MessagesOverChat
from edge.errors import EdgeError
from tests.edge.dialects.saying import ABOUT, OWN, USAGE, answer, call, chunk, dump, heard, say, stream_of, tell

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ASKED = {"model": "privaterouter/fast", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
CHARGED = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 1,
    "cache_read_input_tokens": 4,
    "output_tokens": 5,
}
MESSAGE: dict[str, Any] = {
    "id": f"msg_{OWN}",
    "type": "message",
    "role": "assistant",
    "model": "privaterouter/fast",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    },
}


def translator(**request: Any) -> MessagesOverChat:
    return MessagesOverChat(ABOUT, dump(ASKED | request))


def check(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, which Anthropic's types accept."""
    for event in events:
        EVENTS.validate_python(event)
    return events


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **text}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, sequence: str | None = None) -> list[dict[str, Any]]:
    said = {"stop_reason": reason, "stop_sequence": sequence}
    return [{"type": "message_delta", "delta": said, "usage": CHARGED}, {"type": "message_stop"}]


def test_a_text_is_streamed_in_the_order_that_anthropic_documents() -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk(finish="stop"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    ]
    assert check(say(translator(), chunks)) == [
        {"type": "message_start", "message": MESSAGE},
        start(0, type="text", text=""),
        delta(0, "text_delta", text="Hel"),
        delta(0, "text_delta", text="lo"),
        stop(0),
        *ended("end_turn"),
    ]


def test_thinking_text_and_parallel_calls_follow_each_other() -> None:
    chunks = [
        chunk({"reasoning_content": "hm", "reasoning": "hm"}),
        chunk({"content": "I look."}),
        chunk(call(0, "f", "", "c1")),
        chunk(call(0, arguments='{"a":')),
        chunk(call(0, arguments="1}")),
        chunk(call(1, "g", "{}", "c2")),
        chunk(finish="tool_calls"),
    ]
    assert check(say(translator(), chunks))[1:] == [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, "text_delta", text="I look."),
        stop(1),
        start(2, type="tool_use", id="c1", name="f", input={}),
        delta(2, "input_json_delta", partial_json='{"a":'),
        delta(2, "input_json_delta", partial_json="1}"),
        stop(2),
        start(3, type="tool_use", id="c2", name="g", input={}),
        delta(3, "input_json_delta", partial_json="{}"),
        stop(3),
        *ended("tool_use"),
    ]


def test_mixed_pieces_of_calls_are_put_in_order() -> None:
    chunks = [
        chunk(call(0, "f", '{"a"', "c1")),
        chunk(call(1, "g", '{"b"', "c2")),
        chunk(call(0, arguments=":1}")),
        chunk(call(1, arguments=":2}")),
        chunk(finish="tool_calls"),
    ]
    assert check(say(translator(), chunks))[1:] == [
        start(0, type="tool_use", id="c1", name="f", input={}),
        delta(0, "input_json_delta", partial_json='{"a"'),
        delta(0, "input_json_delta", partial_json=":1}"),
        stop(0),
        start(1, type="tool_use", id="c2", name="g", input={}),
        delta(1, "input_json_delta", partial_json='{"b"'),
        delta(1, "input_json_delta", partial_json=":2}"),
        stop(1),
        *ended("tool_use"),
    ]


@pytest.mark.parametrize(
    "said, finish, reason",
    [
        ({"content": "x"}, "stop", "end_turn"),
        ({"content": "x"}, "length", "max_tokens"),
        ({"content": "x"}, "content_filter", "refusal"),
        ({"content": "x"}, "tool_calls", "end_turn"),
        ({"content": "x"}, "odd", "end_turn"),
        ({"refusal": "No."}, "stop", "refusal"),
        (call(0, "f", "{}", "c1"), "stop", "tool_use"),
        (call(0, "f", "{", "c1"), "length", "max_tokens"),
        ({}, "stop", "end_turn"),
    ],
)
def test_stop_reasons(said: dict[str, Any], finish: str, reason: str) -> None:
    events = check(say(translator(), [chunk(said), chunk(finish=finish)]))
    assert events[-2:] == ended(reason)
    assert answer(translator(), said, finish=finish)["stop_reason"] == reason


def test_a_stop_sequence_is_named_where_the_upstream_names_it() -> None:
    asked = translator(stop_sequences=["END"])
    assert say(asked, [chunk({"content": "x"}), chunk(finish="stop", stop_reason="END")])[-2:] == ended(
        "stop_sequence", "END"
    )
    for other in ("OTHER", 7, None):
        asked = translator(stop_sequences=["END"])
        assert say(asked, [chunk({"content": "x"}), chunk(finish="stop", stop_reason=other)])[-2:] == ended("end_turn")


def test_an_answer_without_content_is_empty() -> None:
    for chunks in ([chunk({"role": "assistant"}), chunk(finish="stop")], []):
        assert check(say(translator(), chunks)) == [{"type": "message_start", "message": MESSAGE}, *ended("end_turn")]


def test_an_answer_that_we_end_at_the_limit_says_so() -> None:
    saying = translator()
    last = chunk({"content": "Hel"})
    told = tell(saying, [stream_of([last])]) + saying.cut(saying.read(dump(last)), [0]) + saying.end(USAGE)
    assert check(heard(told))[-3:] == [stop(0), *ended("max_tokens")]


def test_an_error_in_the_stream_ends_it() -> None:
    saying = translator()
    told = tell(saying, [stream_of([chunk({"content": "Hel"})])])
    events = heard(told + saying.failure(EdgeError("upstream_failed", "It broke.")))
    assert events[-1] == {
        "type": "error",
        "error": {"type": "api_error", "message": "It broke.", "code": "upstream_failed", "param": None},
        "request_id": ABOUT.request_id,
    }


def test_thinking_that_is_not_to_be_seen_is_left_out() -> None:
    asked = translator(thinking={"type": "adaptive", "display": "omitted"})
    events = check(say(asked, [chunk({"reasoning": "hm"}), chunk({"content": "x"}), chunk(finish="stop")]))
    assert events[1] == start(0, type="text", text="")


def test_a_whole_answer() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c1", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"type": "function", "function": {"name": "h", "arguments": '{"a'}},
    ]
    said = {"content": "Hello", "reasoning_content": "hm", "tool_calls": calls}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    }
    got = answer(translator(), said, finish="tool_calls", usage=usage)
    Message.model_validate(got)
    assert got == MESSAGE | {
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": f"toolu_{OWN}03", "name": "g", "input": {}},
            {"type": "tool_use", "id": f"toolu_{OWN}04", "name": "h", "input": {"invalid_arguments": '{"a'}},
        ],
        "stop_reason": "tool_use",
        "usage": CHARGED,
    }


def test_a_whole_answer_without_usage_shows_our_count() -> None:
    got = answer(translator(), {"content": "Hello, you there"}, usage=None)
    assert (got["usage"]["input_tokens"], got["usage"]["output_tokens"]) == (7, 3)
