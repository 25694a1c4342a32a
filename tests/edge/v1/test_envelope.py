"""The top level of a body is found without building the rest, and only what must change changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.v1.envelope import MalformedObject, locate, read_request, splice

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=8)
INDENTS = st.sampled_from([None, 0, 3])


@given(OBJECTS, INDENTS, st.booleans())
def test_every_value_is_found_where_it_stands(value: dict[str, object], indent: int | None, plain: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    try:
        envelope = locate(body)
    except MalformedObject:
        assert not plain, "only lone surrogates, which are no UTF-8, may be refused"
        return
    found = {name: json.loads(body[start:end]) for name, (start, end) in envelope.spans.items()}
    assert found == value


@given(OBJECTS, INDENTS)
def test_a_splice_changes_what_it_names_and_nothing_else(value: dict[str, object], indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    spliced = splice(locate(body), {"model": b'"other"', "max_tokens": b"5"})
    assert json.loads(spliced) == {**value, "model": "other", "max_tokens": 5}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": 1, "model": 2}',
        b'{"model": 12, "model": 1}',
        b'{"model": 1, "model": 12}',
        b'{"model": 1, "model": 1}',
        b'{"model": 1, "a": 2, "mod\\u0065l": 1}',
        b'{"a": {"model": 1}, "a": {"model": 2}}',
        b'{"a": [1, 2], "b": 3, "a": [1, 2] }',
    ],
)
def test_a_field_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(EdgeError, match="given twice") as caught:
        read_request(body)
    assert caught.value.code == "invalid_body"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"}",
        b'{"a":1} x',
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(EdgeError) as caught:
        read_request(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_body")


def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(EdgeError, match="nested too deeply"):
        read_request(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
