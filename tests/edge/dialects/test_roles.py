"""Each answer of a stream begins with its role, also where the upstream says none."""

from typing import Any

import pytest

from edge.dialects.roles import add_roles
from edge.dialects.translators import make_chat_translator
from edge.v1.answers import read_chunk
from tests.edge.dialects.saying import ABOUT, chunk, dump, stream_of, tell

ROLE = b'"role":"assistant"'
BYTES = [
    (b'{"choices":[{"index":0,"delta":{}}]}', b'{"choices":[{"index":0,"delta":{"role":"assistant"}}]}'),
    (
        b'{ "id" : 1.50, "choices":[{"delta": { "content": "\\u00e9" ,"n": 1e400}}] }',
        b'{ "id" : 1.50, "choices":[{"delta":{"role":"assistant","content":"\\u00e9","n":1e400}}] }',
    ),
    (
        b'{"choices":[{"index":0,"delta":{"content":"a","role":null}}]}',
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}',
    ),
    (
        b'{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"\\"delta\\": {"}]}}]}',
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":[{"type":"text","text":"\\"delta\\": {"}]}}]}',
    ),
]


@pytest.mark.parametrize("given, expected", BYTES)
def test_all_else_of_a_chunk_stays_as_it_is_written(given: bytes, expected: bytes) -> None:
    assert add_roles(given, read_chunk(given), set()) == expected


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"index":0,"delta":{"role":"tool"}}]}',
        b'{"choices":[{"index":0,"delta":null}]}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":7}',
        b'{"choices":[{"index":0,"delta":"text"}]}',
        b'{"choices":[{"index":0,"delta":{}}],"choices":[{"index":0,"delta":{}}]}',
        b"{}",
    ],
)
def test_what_has_a_role_or_no_delta_is_not_touched(data: bytes) -> None:
    assert add_roles(data, read_chunk(data), set()) is data


def test_each_answer_gets_one_role() -> None:
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=False)

    def piece(*indices: int) -> dict[str, Any]:
        return chunk() | {"choices": [{"index": index, "delta": {"content": "a"}} for index in indices]}

    chunks = [piece(0), piece(0, 1), piece(1), piece(0), chunk({"role": "assistant"}) | piece(2), piece(2)]
    told = [tell(saying, [stream_of([one])]).count(ROLE) for one in chunks]
    assert told == [1, 1, 0, 0, 1, 0]


def test_a_role_that_came_is_not_said_again() -> None:
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=False)
    said = stream_of([chunk({"role": "assistant", "content": ""}), chunk({"content": "a"})])
    assert tell(saying, [said]).count(ROLE) == 1


def test_an_event_of_several_lines_keeps_its_other_lines() -> None:
    saying = make_chat_translator(ABOUT, is_chat=True, shows_usage=False)
    said = b'id: 7\ndata: {"choices":\ndata: [{"index":0,"delta":{"content":"a"}}],\ndata: "model":"hidden"}\n\n'
    assert tell(saying, [said]) == (
        b'id: 7\ndata: {"choices": [{"index":0,"delta":{"role":"assistant","content":"a"}}],'
        b' "model":"privaterouter/fast"}\n\n'
    )


def test_completions_have_no_roles() -> None:
    saying = make_chat_translator(ABOUT, is_chat=False, shows_usage=False)
    assert ROLE not in tell(saying, [stream_of([{"choices": [{"index": 0, "text": "a", "delta": {}}]}])]) + saying.cut(
        saying.read(dump({})), [0]
    )
