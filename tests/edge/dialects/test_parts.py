"""The parts of an answer come one after the other, however an upstream mixes or names its tool calls."""

from typing import Any

import msgspec
import pytest

from edge.dialects.parts import Kind, Sorter, Verb
from edge.dialects.spoken import SpokenDelta
from tests.edge.dialects.saying import call


def sort(*deltas: dict[str, Any]) -> Sorter:
    sorter = Sorter()
    for delta in deltas:
        sorter.add(msgspec.convert(delta, SpokenDelta))
    return sorter


def calls(*deltas: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(part.id, part.name, part.text) for part in sort(*deltas).parts if part.kind is Kind.CALL]


@pytest.mark.parametrize(
    "deltas",
    [
        [call(0, "f", '{"a":', "1"), call(0, arguments="1}"), call(1, "g", "{}", "2")],
        # The id and the name are given with every piece.
        [call(0, "f", '{"a":', "1"), call(0, "f", "1}", "1"), call(1, "g", "{", "2"), call(1, "g", "}", "2")],
        # Every call has the index 0.
        [call(0, "f", '{"a":1}', "1"), call(0, "g", "{}", "2")],
        # No call has an index.
        [call(None, "f", '{"a":1}', "1"), call(None, "g", "{}", "2")],
        [
            call(None, "f", '{"a":', "1"),
            call(None, arguments="1}"),
            call(None, "g", "{", "2"),
            call(None, arguments="}"),
        ],
        # Pieces name the call by its id.
        [
            call(None, "f", '{"a":', "1"),
            call(None, "g", "{", "2"),
            call(None, None, "1}", "1"),
            call(None, None, "}", "2"),
        ],
        # The id comes late, or the name.
        [call(0, "f", ""), call(0, None, '{"a":1}', "1"), call(1, "g", "{}", "2")],
        [call(0, None, '{"a":1}', "1"), call(0, "f"), call(1, "g", "{}", "2")],
    ],
)
def test_calls_are_told_apart(deltas: list[dict[str, Any]]) -> None:
    found = calls(*deltas)
    assert [text for _, _, text in found] == ['{"a":1}', "{}"]
    assert [name for _, name, _ in found] == ["f", "g"]
    assert {call_id for call_id, _, _ in found} <= {"1", "2", ""}


def test_calls_without_ids_that_share_an_index_are_told_apart_by_their_names() -> None:
    assert calls(call(0, "f", "{}"), call(0, "f", "{}")) == [("", "f", "{}"), ("", "f", "{}")]


def test_an_id_that_was_given_before_is_given_once() -> None:
    assert calls(call(0, "f", "{}", "1"), call(1, "f", "{}", "1")) == [("1", "f", "{}"), ("", "f", "{}")]


def test_what_follows_a_complete_call_is_not_part_of_it() -> None:
    found = calls(call(0, "f", "{}", "1"), {"content": "x"}, call(0, arguments="more"), {"content": "y"})
    assert found == [("1", "f", "{}")]


def test_the_old_field_for_one_call() -> None:
    deltas = [{"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}]
    assert calls(*deltas) == [("", "f", "{}")]


def test_a_part_waits_for_an_incomplete_call_before_it() -> None:
    sorter = sort(call(0, "f", '{"a":', "1"))
    waiting = sorter.add(msgspec.convert({"content": "x"}, SpokenDelta))
    assert waiting == []
    steps = sorter.add(msgspec.convert(call(0, arguments="1}"), SpokenDelta))
    assert [(step.verb, step.part.kind, step.text) for step in steps] == [
        (Verb.ADD, Kind.CALL, "1}"),
        (Verb.STOP, Kind.CALL, ""),
        (Verb.START, Kind.TEXT, ""),
        (Verb.ADD, Kind.TEXT, "x"),
    ]


def test_white_space_after_a_call_does_not_hold_back_the_next() -> None:
    sorter = sort(call(0, "f", "{}", "1"), call(0, arguments="\n"))
    steps = sorter.add(msgspec.convert(call(1, "g", "{}", "2"), SpokenDelta))
    assert [(step.verb, step.part.name) for step in steps] == [(Verb.STOP, "f"), (Verb.START, "g"), (Verb.ADD, "g")]


def test_a_call_whose_arguments_never_become_json_holds_nothing_back_at_the_end() -> None:
    sorter = sort(call(0, "f", '{"a":', "1"), call(1, "g", "{}", "2"))
    steps = sorter.close()
    assert [(step.verb, step.part.name) for step in steps] == [
        (Verb.STOP, "f"),
        (Verb.START, "g"),
        (Verb.ADD, "g"),
        (Verb.STOP, "g"),
    ]
