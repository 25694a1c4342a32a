"""Chat passes through as it comes."""

import json

import pytest

from edge.dialects.translators import make_chat_translator, make_translator
from edge.errors import EdgeError
from edge.v1.usage import Usage
from tests.edge.dialects.saying import ABOUT, chunk, dump, stream_of, tell

USAGE_CHUNK = {"id": "c1", "choices": [], "model": "hidden", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
END = Usage(1, 1)


@pytest.mark.parametrize("shows_usage", [True, False])
def test_chunks_keep_all_but_the_models_name(shows_usage: bool) -> None:
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=shows_usage)
    chunks = [chunk({"role": "assistant", "content": "a"}), chunk(finish="stop"), USAGE_CHUNK]
    expected = [one | {"model": "privaterouter/fast"} for one in (chunks if shows_usage else chunks[:2])]
    assert tell(saying, [stream_of(chunks)]) == stream_of(expected)
    assert saying.end(END) == b"data: [DONE]\n\n"
    assert not saying.over


@pytest.mark.parametrize(
    "choice, is_shown",
    [
        ({"index": 0, "delta": {}}, False),
        ({"index": 0}, False),
        ({"index": 0, "delta": {"content": None, "role": None}, "finish_reason": None, "logprobs": None}, False),
        ({"index": 0, "text": ""}, False),
        ({"index": 0, "delta": {}, "finish_reason": "stop"}, True),
        ({"index": 0, "delta": {"content": "a"}}, True),
        ({"index": 0, "delta": {"audio": {"data": "x"}}}, True),
        ({"index": 0, "delta": {}, "logprobs": {"content": []}}, False),
        ({"index": 0, "delta": {}, "logprobs": {"content": [{"token": "a"}]}}, True),
        ({"index": 0, "text": "a"}, True),
    ],
)
def test_a_usage_chunk_whose_choice_is_empty_is_one_of_usage_only(choice: dict[str, object], is_shown: bool) -> None:
    """LiteLLM sends such a choice with the usage."""
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=False)
    tell(saying, [stream_of([chunk({"role": "assistant"})])])
    sent = USAGE_CHUNK | {"choices": [choice]}
    expected = [sent | {"model": "privaterouter/fast"}] if is_shown else []
    assert tell(saying, [stream_of([sent])]) == stream_of(expected)


@pytest.mark.parametrize(
    "is_chat, kind, begun, silent",
    [
        (True, "chat.completion.chunk", {"delta": {}}, {"delta": {"role": "assistant"}}),
        (False, "text_completion", {"text": ""}, {"text": ""}),
    ],
)
def test_answers_are_cut_as_an_upstream_does(
    is_chat: bool, kind: str, begun: dict[str, object], silent: dict[str, object]
) -> None:
    """The second has not begun to speak."""
    saying = make_chat_translator(ABOUT, is_chat=is_chat, shows_usage=False)
    tell(saying, [stream_of([chunk({"role": "assistant", "content": "a"})])])
    cut = saying.cut(saying.read(dump({"id": "c1", "created": 5})), [0, 2])
    assert json.loads(cut.removeprefix(b"data: ")) == {
        "id": "c1",
        "object": kind,
        "created": 5,
        "model": "privaterouter/fast",
        "choices": [
            {"index": at, **empty, "logprobs": None, "finish_reason": "length"}
            for at, empty in ((0, begun), (2, silent))
        ],
    }
    nameless = json.loads(saying.cut(saying.read(b"{}"), [0]).removeprefix(b"data: "))
    assert (nameless["id"], nameless["created"]) == (ABOUT.request_id, ABOUT.created_s)


def test_an_error_is_an_event_before_the_end() -> None:
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=False)
    error = EdgeError("upstream_failed", "It broke.")
    assert saying.failure(error) == b"data: " + error.body() + b"\n\ndata: [DONE]\n\n"


def test_a_whole_answer_keeps_all_but_the_models_name() -> None:
    saying = make_chat_translator(ABOUT, is_chat=False, shows_usage=False)
    body = b'{"model": "hidden", "data": [1, 2]}'
    assert saying.whole(body, saying.read(body)) == b'{"model":"privaterouter/fast", "data": [1, 2]}'


@pytest.mark.parametrize("dialect", ["responses", "messages"])
def test_the_other_dialects_are_translated_unless_the_upstream_speaks_them(dialect: str) -> None:
    body = dump({"model": "m", "input": "x", "max_tokens": 1, "messages": []})
    names = [
        type(make_translator(ABOUT, dialect=dialect, is_native=native, body=body)).__name__ for native in (True, False)
    ]
    assert names == [f"{dialect.capitalize()}Native", f"{dialect.capitalize()}OverChat"]
