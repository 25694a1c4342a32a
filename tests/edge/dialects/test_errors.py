"""Errors have each dialect's own shape, and Anthropic's SDK knows every one of them."""

import json

import pytest
from anthropic.types.shared import ErrorResponse

from edge.dialects.errors import anthropic_error_body, chat_failure, messages_failure, responses_failure
from edge.errors import TABLE, EdgeError
from tests.edge.dialects.saying import heard


@pytest.mark.parametrize(
    "code, kind",
    [
        ("invalid_body", "invalid_request_error"),
        ("idempotency_key_reused", "invalid_request_error"),
        ("invalid_api_key", "authentication_error"),
        ("insufficient_credits", "billing_error"),
        ("model_not_allowed", "permission_error"),
        ("model_not_found", "not_found_error"),
        ("request_too_large", "request_too_large"),
        ("rate_limit_exceeded", "rate_limit_error"),
        ("internal_error", "api_error"),
        ("upstream_failed", "api_error"),
        ("service_unavailable", "overloaded_error"),
        ("upstream_timeout", "timeout_error"),
    ],
)
def test_each_status_has_anthropics_type(code: str, kind: str) -> None:
    body = json.loads(anthropic_error_body(EdgeError(code, "Do this.", param="x"), "r1"))
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "Do this.", "code": code, "param": "x"},
        "request_id": "r1",
    }


# Anthropic documents request_too_large, and its SDK has no type for it.
@pytest.mark.parametrize("code", sorted(set(TABLE) - {"request_too_large"}))
def test_every_error_of_ours_is_one_of_anthropics(code: str) -> None:
    ErrorResponse.model_validate_json(anthropic_error_body(EdgeError(code, "Do this.")))


def test_an_error_before_anything_was_said_in_a_stream() -> None:
    error = EdgeError("upstream_failed", "It broke.")
    assert chat_failure(error) == b"data: " + error.body() + b"\n\ndata: [DONE]\n\n"
    assert heard(messages_failure(error)) == [json.loads(anthropic_error_body(error))]
    assert heard(responses_failure(error)) == [
        {"type": "error", "sequence_number": 0, "code": "upstream_failed", "message": "It broke.", "param": None}
    ]
