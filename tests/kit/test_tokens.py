"""Tokens: what is made has the right form, and hardly anything else has."""

import os
from collections.abc import Callable

import pytest

from kit.tokens import has_valid_form, make_token

PREFIX = "sk-test-"


def test_a_made_token_has_its_prefix_length_and_checksum() -> None:
    token = make_token(PREFIX, bytes)
    assert token == "sk-test-" + "0" * 32 + "1OAA6M"
    assert has_valid_form(PREFIX, token)


def test_two_tokens_differ_in_their_random_part() -> None:
    first, second = make_token(PREFIX, os.urandom), make_token(PREFIX, os.urandom)
    assert first[8:40] != second[8:40]


def test_every_single_changed_character_is_noticed() -> None:
    token = make_token(PREFIX, os.urandom)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert not has_valid_form(PREFIX, token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda token: "", id="nothing"),
        pytest.param(lambda token: PREFIX, id="the prefix alone"),
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token + "0", id="too long"),
        pytest.param(lambda token: " " + token[1:], id="a space before"),
        pytest.param(lambda token: token[:-1] + "\n", id="a line end"),
        pytest.param(lambda token: token[:20] + "é" + token[21:], id="not ASCII"),
        pytest.param(lambda token: "sk-prod-" + token[len(PREFIX) :], id="another prefix before it"),
        pytest.param(lambda token: token * 1000, id="huge"),
    ],
)
def test_anything_else_is_refused(change: Callable[[str], str]) -> None:
    assert not has_valid_form(PREFIX, change(make_token(PREFIX, os.urandom)))


def test_a_token_of_another_prefix_is_refused() -> None:
    assert not has_valid_form(PREFIX, make_token("sk-prod-", os.urandom))
