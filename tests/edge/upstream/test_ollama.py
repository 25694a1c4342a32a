"""What is special about Ollama beside its probe: refusals, names in messages, limits."""

import pytest

from edge.lookup.catalogue import Route
from edge.upstream.looks import Look
from edge.upstream.ollama import lacks_model, limit_fields, missing, spoken

ROUTES = [
    Route("gpu1", "gemma4", 1, 0),
    Route("gpu1", "qwen3:0.6b", 1, 0),
    Route("gpu1", "llama3.3:70b", 1, 0),
    Route("gpu1", "llama3.3:70b", 1, 1),
    Route("gpu2", "phi4", 1, 0),
]


def test_what_routes_lead_to_and_is_not_there_is_missing() -> None:
    look = Look(healthy=True, models=frozenset({"gemma4:latest", "qwen3:8b"}))
    assert missing("gpu1", look, routes=ROUTES) == ["llama3.3:70b", "qwen3:0.6b"]


def test_nothing_is_missing_where_nothing_is_told() -> None:
    assert missing("gpu1", Look(healthy=True), routes=ROUTES) == []


@pytest.mark.parametrize(
    "status, message, lacking",
    [
        (404, "model 'llama3.3:70b' not found", True),
        (404, 'model "llama3.3:70b" not found, try pulling it first', True),
        (404, "404 page not found", False),
        (404, "", False),
        (500, "model 'x' not found", False),
        (400, "model 'x' not found", False),
    ],
)
def test_only_a_missing_model_is_one(status: int, message: str, lacking: bool) -> None:
    assert lacks_model(status, message) == lacking


@pytest.mark.parametrize(
    "name, message, shown",
    [
        ("qwen3", "registry.ollama.ai/library/qwen3:latest does not support tools", "PUBLIC does not support tools"),
        ("qwen3:latest", "model 'qwen3' not found", "model 'PUBLIC' not found"),
        ("qwen3:0.6b", '"qwen3:0.6b" does not support chat', '"PUBLIC" does not support chat'),
        ("Qwen3", "model 'qwen3:latest' failed", "model 'PUBLIC' failed"),
        ("phi", "philosophy is no model; phi is", "philosophy is no model; PUBLIC is"),
    ],
)
def test_however_ollama_calls_a_model_its_name_is_found(name: str, message: str, shown: str) -> None:
    assert spoken(name).sub("PUBLIC", message) == shown


@pytest.mark.parametrize(
    "given, written",
    [
        ([], ["max_tokens"]),
        (["max_tokens"], ["max_tokens"]),
        (["max_completion_tokens"], ["max_completion_tokens", "max_tokens"]),
        (["max_tokens", "max_completion_tokens"], ["max_tokens", "max_completion_tokens"]),
    ],
)
def test_a_limit_always_reaches_ollama_in_the_field_that_it_reads(given: list[str], written: list[str]) -> None:
    assert limit_fields(given) == written
