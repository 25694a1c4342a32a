"""Whatever an upstream says, in whatever pieces, a client hears a well-formed answer."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dialects.messages_answer import MessagesOverChat
from edge.dialects.responses_answer import ResponsesOverChat
from edge.dialects.translator import Translator
from edge.errors import EdgeError
from edge.v1.answers import Chunk, Counter, read_chunk
from tests.edge.dialects.saying import ABOUT, USAGE, call, chunk, dump, heard, stream_of, tell

MESSAGES = dump({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
RESPONSES = dump({"model": "m", "input": "Hi", "include": ["message.output_text.logprobs"]})

_texts = st.one_of(st.none(), st.text(max_size=5))
_calls = st.builds(
    call,
    st.one_of(st.none(), st.integers(-1, 2)),
    st.sampled_from([None, "", "f", "g"]),
    st.sampled_from(["", "{", "}", "{}", '{"a":1}', "x"]),
    st.sampled_from([None, "", "1", "2"]),
)
_deltas = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("content", "refusal", "reasoning", "reasoning_content"), _texts)),
    _calls,
    st.builds(lambda one, other: {"tool_calls": one["tool_calls"] + other["tool_calls"]}, _calls, _calls),
    st.just({"function_call": {"name": "f", "arguments": "{}"}}),
)
_finishes = st.sampled_from([None, None, None, "stop", "length", "tool_calls", "content_filter", "odd"])
_chunks = st.one_of(
    st.builds(lambda delta, finish: chunk(delta, finish=finish), _deltas, _finishes),
    st.just({"choices": []}),
    st.just({}),
    st.just({"id": None, "choices": [{"index": 1, "delta": {"content": "other"}}]}),
    st.just({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
)
streams = st.lists(_chunks, max_size=12)


def whole_text(chunks: list[dict[str, Any]], *names: str) -> str:
    found = []
    for one in chunks:
        for choice in one.get("choices") or ():
            if choice["index"] == 0:
                found += [choice["delta"].get(name) or "" for name in names]
    return "".join(found)


def check_messages(events: list[dict[str, Any]]) -> None:
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[0]["type"] == "message_start"
    open_block, blocks = None, 0
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert open_block is None
            assert event["index"] == blocks
            open_block, blocks = blocks, blocks + 1
        else:
            assert event["index"] == open_block
            if event["type"] == "content_block_stop":
                open_block = None
            else:
                assert event["type"] == "content_block_delta"
    assert open_block is None


def check_responses(events: list[dict[str, Any]]) -> None:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] in {"response.completed", "response.incomplete"}
    output = events[-1]["response"]["output"]
    done: list[dict[str, Any]] = []
    added, said = None, ""
    for event in events[2:-1]:
        assert event["output_index"] == len(done)
        if event["type"] == "response.output_item.added":
            assert added is None
            added, said = event["item"], ""
            continue
        assert added is not None
        assert event.get("item_id", added["id"]) == added["id"]
        if event["type"].endswith(".delta"):
            said += event["delta"]
        elif event["type"] == "response.output_item.done":
            done.append(event["item"])
            added = None
        elif event["type"] != "response.content_part.added" and "part" not in event:
            assert said == (event.get("text") or event.get("refusal") or event.get("arguments") or "")
    assert added is None
    assert done == output
    assert len({item["id"] for item in output}) == len(output)
    calls = [item["call_id"] for item in output if item["type"] == "function_call"]
    assert len(set(calls)) == len(calls)


@given(streams)
def test_a_message_is_well_formed_and_says_all_of_the_text(chunks: list[dict[str, Any]]) -> None:
    saying = MessagesOverChat(ABOUT, MESSAGES)
    events = heard(tell(saying, [stream_of(chunks)]) + saying.end(USAGE))
    check_messages(events)
    said = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert said == whole_text(chunks, "content", "refusal")


@given(streams)
def test_a_response_is_well_formed_and_says_all_of_the_text(chunks: list[dict[str, Any]]) -> None:
    saying = ResponsesOverChat(ABOUT, RESPONSES)
    events = heard(tell(saying, [stream_of(chunks)]) + saying.end(USAGE))
    check_responses(events)
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert said == whole_text(chunks, "content")


@given(streams, st.sampled_from(["cut", "failure"]))
def test_wherever_it_is_ended_a_client_can_tell(chunks: list[dict[str, Any]], how: str) -> None:
    for saying in (MessagesOverChat(ABOUT, MESSAGES), ResponsesOverChat(ABOUT, RESPONSES)):
        told = tell(saying, [stream_of(chunks)])
        if how == "cut":
            events = heard(told + saying.cut(saying.read(b"{}"), [0]) + saying.end(USAGE))
            (check_messages if isinstance(saying, MessagesOverChat) else check_responses)(events)
            reasons = [events[-2].get("delta", {}).get("stop_reason"), events[-1].get("response", {}).get("status")]
            assert set(reasons) & {"max_tokens", "incomplete"}
        else:
            events = heard(told + saying.failure(EdgeError("upstream_failed", "It broke.")))
            assert events[-1]["type"] in {"error", "response.failed"}


CHUNKS = [
    chunk({"role": "assistant", "content": "", "reasoning": "hü"}),
    chunk({"content": "H€llo"}),
    chunk(call(0, "f", '{"a"', "c1")),
    chunk(call(0, arguments=':"ß"}')),
    chunk(call(1, "g", "{}", "c2")),
    chunk(finish="tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
]


def test_it_is_the_same_answer_wherever_the_stream_is_cut_into_pieces() -> None:
    stream = stream_of(CHUNKS)
    for make in (lambda: MessagesOverChat(ABOUT, MESSAGES), lambda: ResponsesOverChat(ABOUT, RESPONSES)):
        expected = _told(make(), [stream])
        for at in range(len(stream)):
            assert _told(make(), [stream[:at], stream[at:]]) == expected
        assert _told(make(), [stream[at : at + 1] for at in range(len(stream))]) == expected


def _told(saying: Translator, pieces: list[bytes]) -> bytes:
    return tell(saying, pieces) + saying.end(USAGE)


def test_what_is_counted_is_the_same_in_every_dialect() -> None:
    def count(read: Callable[[bytes], Chunk]) -> int:
        counter = Counter()
        for one in CHUNKS:
            for choice in read(dump(one)).choices or ():
                counter.add(choice)
        return counter.output_tokens

    readers = (read_chunk, MessagesOverChat(ABOUT, MESSAGES).read, ResponsesOverChat(ABOUT, RESPONSES).read)
    assert [count(read) for read in readers] == [5, 5, 5]


def test_what_cannot_be_said_is_no_answer() -> None:
    for saying in (MessagesOverChat(ABOUT, MESSAGES), ResponsesOverChat(ABOUT, RESPONSES)):
        for data in (b"", b"[1]", b"<html>", dump({"choices": [{"delta": {"content": ["parts"]}}]})):
            with pytest.raises(ValueError, match=r"."):
                saying.read(data)
        error = saying.read(dump({"error": {"message": "boom"}, "choices": "odd"}))
        assert error.has_error
        assert msgspec.json.decode(error.error) == {"message": "boom"}
