"""Tokens of sessions while the secret that signs them is being changed."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from edge.api.tokens import Tokens
from edge.errors import EdgeError

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
OLD, NEW = "the secret before the change, long enough", "the secret after the change, long enough"


def tokens(secret: str, previous: str = "") -> Tokens:
    return Tokens(secret, previous=previous, clock=lambda: NOW)


def issued(by: Tokens) -> str:
    return by.issue(user_id=str(uuid4()), session_id=str(uuid4()), session_expire_time=NOW + timedelta(days=1))


def test_a_token_of_before_the_change_is_read_and_new_ones_are_of_the_new_secret() -> None:
    changing = tokens(NEW, previous=OLD)
    assert changing.read(issued(tokens(OLD))).issue_time == NOW
    assert tokens(NEW).read(issued(changing)).issue_time == NOW


@pytest.mark.parametrize(
    "reader, signed",
    [(tokens(NEW), OLD), (tokens(NEW, previous=OLD), "neither this nor that, long enough"), (tokens(OLD), NEW)],
)
def test_a_token_of_any_other_secret_is_not_valid(reader: Tokens, signed: str) -> None:
    with pytest.raises(EdgeError) as refused:
        reader.read(issued(tokens(signed)))
    assert refused.value.code == "invalid_session"
