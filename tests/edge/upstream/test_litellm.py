"""What is special about LiteLLM: the fields that it is sent, and refusals that are no fault of the caller."""

import json
from typing import Any

import msgspec
import pytest

from edge.lookup.catalogue import Upstream
from edge.upstream.adapters import extra_fields
from edge.upstream.litellm import cause, code, misconfigured
from edge.v1.envelope import read_request, splice

LITELLM = Upstream("default", "litellm", "http://litellm:4000", "sk-master")
OURS = {"privaterouter_request_id": "the-id"}


def sent(body: bytes, upstream: Upstream = LITELLM, **path: str) -> Any:
    """The body that reaches the upstream."""
    envelope = read_request(body)
    return json.loads(splice(envelope, extra_fields(upstream, "the-id", envelope.raw, **path)))


@pytest.mark.parametrize(
    "given, reaches",
    [
        (b'{"model":"m"}', OURS),
        (b'{"metadata":null}', OURS),
        (b'{"metadata": { } }', OURS),
        (b'{"metadata":{"mine":"x", "odd\\"}":"y" } }', {"mine": "x", 'odd"}': "y"} | OURS),
        (b'{"metadata":{"privaterouter_request_id":"forged"}}', OURS),
    ],
)
def test_the_request_id_joins_the_callers_metadata_and_nothing_is_tried_twice(
    given: bytes, reaches: dict[str, str]
) -> None:
    assert sent(given) == json.loads(given) | {"metadata": reaches, "num_retries": 0}


@pytest.mark.parametrize("metadata", [[1], "text", 7, {"long": "x" * 70_000}])
def test_metadata_that_nothing_can_join_stays_as_it_is(metadata: object) -> None:
    body = msgspec.json.encode({"metadata": metadata})
    assert sent(body) == {"metadata": metadata, "num_retries": 0}


@pytest.mark.parametrize("path", ["/responses", "/messages", "/messages/count_tokens"])
def test_where_metadata_goes_to_the_provider_the_request_id_goes_beside_it(path: str) -> None:
    given = {"metadata": {"user_id": "alice"}}
    assert sent(msgspec.json.encode(given), path=path) == given | {"litellm_metadata": OURS, "num_retries": 0}


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_other_kinds_get_what_the_caller_sent(kind: str) -> None:
    body = b'{"metadata":{"mine":"x"}}'
    assert sent(body, Upstream("other", kind, "http://other", "")) == json.loads(body)


@pytest.mark.parametrize(
    "status, error_type, message, word",
    [
        (400, "no_db_connection", "No connected db.", "database"),
        (400, "budget_exceeded", "Budget has been exceeded!", "budget"),
        (429, "budget_exceeded", "Budget has been exceeded!", "budget"),
        (400, "invalid_request_error", "/chat/completions: Invalid model name passed in model=x.", "model_list"),
    ],
)
def test_what_only_the_operator_can_mend_is_told_to_the_log(
    status: int, error_type: str, message: str, word: str
) -> None:
    assert word in misconfigured(status, error_type=error_type, message=message)


@pytest.mark.parametrize("status, error_type", [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "")])
def test_everything_else_is_what_it_says(status: int, error_type: str) -> None:
    assert misconfigured(status, error_type=error_type, message="too long") == ""


CONTEXT = (
    "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - the request exceeds the available"
    " context size. Try increasing it\nmodel=privaterouter/fast. context_window_fallbacks=None. fallbacks=None.\n\nSet"
    " 'context_window_fallback' - https://docs.litellm.ai/docs/routing#fallbacks. Received Model Group=a/b"
    "\nAvailable Model Group Fallbacks=None  LiteLLM: model group 'privaterouter/fast' failed"
)


@pytest.mark.parametrize(
    "message, told, its_code",
    [
        (CONTEXT, "the request exceeds the available context size. Try increasing it", "context_length_exceeded"),
        ("litellm.BadRequestError: OpenAIException - bad schema. Received Model Group=a/b", "bad schema.", None),
        ("temperature: must be at most 2", "temperature: must be at most 2", None),
        ("litellm.BadRequestError: ", "litellm.BadRequestError: ", None),
    ],
)
def test_a_caller_is_told_the_cause_without_litellms_own_words(message: str, told: str, its_code: str | None) -> None:
    assert cause(message) == told
    assert code(message) == its_code
