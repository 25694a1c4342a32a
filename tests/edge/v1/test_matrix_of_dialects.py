"""Every kind of upstream x every dialect x streamed or not x translated or not: the name, the bill, and the limit.

Whatever stands behind us, a client gets an answer in its own dialect under the public name, the record says what the
client was shown, and the upstream was asked for its own model within the limit that money was held for.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from edge.lookup.catalogue import Price
from edge.money.records import Status
from edge.v1.billing import price_of
from edge.v1.usage import Usage
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import PRICE, ROUTE, Gateway, body, model, running_gateway
from tests.support.processes import fake_ollama, renewed

UPSTREAM_MODELS = {"openai": "hidden:latest", "litellm": "hidden:latest", "ollama": "qwen3:0.6b"}
EMBEDDERS = {"openai": "hidden:embed", "litellm": "hidden:embed", "ollama": "nomic-embed-text"}
TOKENS = 3
# A price of its own for each class, so that no two mistakes cancel each other.
CLASSES = Price("price-1", 101_000_000, 53_000_000, 307_000_000, 127_000_000)


@dataclass(frozen=True)
class Dialect:
    """Where a dialect is spoken, and how."""

    path: str
    limit: str
    """The field of the client's limit."""
    forwards: str = ""
    """Where a request goes that is translated; empty: it never is."""


DIALECTS = {
    "chat": Dialect("/v1/chat/completions", "max_tokens"),
    "chat, newer": Dialect("/v1/chat/completions", "max_completion_tokens"),
    "completions": Dialect("/v1/completions", "max_tokens"),
    "embeddings": Dialect("/v1/embeddings", ""),
    "responses": Dialect("/v1/responses", "max_output_tokens", "/v1/chat/completions"),
    "messages": Dialect("/v1/messages", "max_tokens", "/v1/chat/completions"),
}


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    kind: str
    dialect: str
    stream: bool
    native: bool

    def __str__(self) -> str:
        return f"{self.kind}, {self.dialect}, {'streamed' if self.stream else 'whole'}{', as it is' * self.native}"


def cells() -> Iterator[Case]:
    for kind in UPSTREAM_MODELS:
        for name, dialect in DIALECTS.items():
            for stream in (False, True) if dialect.limit else (False,):
                for native in (False, True) if dialect.forwards else (False,):
                    yield Case(kind, name, stream, native)


@pytest.fixture(scope="module")
def ollama_url() -> Iterator[str]:
    """Base URL of an Ollama."""
    with fake_ollama() as url:
        renewed(url)
        yield url


@pytest.fixture(params=list(cells()), ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Each cell in turn."""
    cell: Case = request.param
    return cell


@pytest.fixture
async def gateway(case: Case, upstream_url: str, ollama_url: str) -> AsyncIterator[Gateway]:
    """A gateway whose upstreams are of the case's kind, and speak its dialect where that is not translated."""
    url = ollama_url if case.kind == "ollama" else upstream_url
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_gateway(url, patience=PATIENCE))
        snapshot = running.catalogue.snapshot
        spoken = frozenset({case.dialect} if case.native else ())
        default = replace(snapshot.upstreams["default"], kind=case.kind, dialects=spoken)
        chat = replace(ROUTE, upstream_model=UPSTREAM_MODELS[case.kind], first_byte_timeout_s=10.0)
        embed = replace(chat, upstream_model=EMBEDDERS[case.kind])
        models = {
            "test/chat": model("test/chat", price=CLASSES, routes=(chat,)),
            "test/embed": model("test/embed", kind="embedding", max_output_tokens=0, price=CLASSES, routes=(embed,)),
        }
        running.catalogue.snapshot = replace(snapshot, models=models, upstreams={"default": default})
        yield running
        assert running.purse.held == set()


async def test_every_upstream_serves_every_dialect(gateway: Gateway, case: Case) -> None:
    dialect = DIALECTS[case.dialect]
    cached = {} if case.kind == "ollama" else {"prompt_tokens": 100, "cached_tokens": 60, "written_tokens": 30}
    fields: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if case.stream else {}
    if case.dialect in {"responses", "messages"}:
        fields.pop("stream_options", None)
    if dialect.limit:
        fields[dialect.limit] = 5000
    else:
        fields["model"] = "test/embed"
    asked = body(dialect.path, script={"tokens": TOKENS, **cached}, **fields)
    async with gateway.http.post(
        gateway.url + dialect.path, json=asked, headers={"authorization": "Bearer sk-pr-good"}
    ) as response:
        text = await response.text()
        assert response.status == 200, text
        headers = response.headers
    request_id = headers["x-request-id"]

    shown = answer_of(text, stream=case.stream)
    assert models_in(shown) == {fields.get("model", "test/chat")}
    check_text(shown, case.dialect)

    (record,) = gateway.purse.final
    assert (record.status, record.estimated, record.request_id) == (Status.SUCCESS, False, request_id)
    usage = usage_of(shown, case.dialect)
    assert price_of(usage, CLASSES) == record.cost_nanos > 0
    expected_prompt = (3 if not dialect.limit else 11) if case.kind == "ollama" else 100
    made = TOKENS if dialect.limit else 0
    assert usage == Usage(expected_prompt, made, 60 if cached else 0, 0, 30 if cached else 0)
    if not case.stream:
        assert headers["x-privaterouter-cost-usd"] == f"{record.cost_nanos / 10**9:.9f}".rstrip("0")

    check_sent(await gateway.tally(request_id), case, request_id)
    for secret in ("hidden", "upstream-secret", "privaterouter_request_id", "num_retries", "litellm", "qwen", "nomic"):
        assert secret not in text
        assert secret not in str(headers)


def answer_of(text: str, *, stream: bool) -> list[dict[str, Any]]:
    """The objects of an answer: one, or those of its events."""
    if not stream:
        return [json.loads(text)]
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def models_in(shown: list[dict[str, Any]]) -> set[str]:
    """All that is named as a model, at whatever depth."""
    found: set[str] = set()
    waiting: list[Any] = list(shown)
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found |= {one["model"]} if "model" in one else set()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def check_text(shown: list[dict[str, Any]], dialect: str) -> None:
    """The answer has its text once, and says that it is over."""
    text = json.dumps(shown)
    if dialect == "embeddings":
        assert shown[0]["data"][0]["embedding"] == [0.5, -0.5]
        return
    ends = {"responses": '"status": "completed"', "messages": '"stop_reason": "end_turn"'}
    assert ends.get(dialect, '"finish_reason": "stop"') in text
    if len(shown) == 1:
        assert "tok tok tok " in text
    else:
        assert sum(one.get("delta") == "tok " for one in spoken(shown)) == TOKENS


def spoken(shown: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The deltas of text in a stream, of whichever dialect."""
    for one in shown:
        if one.get("type") == "response.output_text.delta":
            yield {"delta": one["delta"]}
        elif one.get("type") == "content_block_delta":
            yield {"delta": one["delta"]["text"]}
        for choice in one.get("choices") or ():
            yield {"delta": choice["text"] if "text" in choice else choice["delta"].get("content")}


def usage_of(shown: list[dict[str, Any]], dialect: str) -> Usage:
    """What the client was told that it used, read as its dialect's documentation says."""
    if dialect == "responses":
        last = shown[-1].get("response", shown[-1])["usage"]
        details = last["input_tokens_details"]
        written = details.get("cache_write_tokens", details.get("cache_creation_tokens", 0))
        return Usage(last["input_tokens"], last["output_tokens"], details["cached_tokens"], 0, written)
    if dialect == "messages":
        told: dict[str, Any] = {}
        for one in shown:
            told |= one.get("message", one).get("usage") or {}
        cached, written = told.get("cache_read_input_tokens") or 0, told.get("cache_creation_input_tokens") or 0
        return Usage(told["input_tokens"] + cached + written, told["output_tokens"], cached, 0, written)
    last = [one["usage"] for one in shown if one.get("usage")][-1]
    details = last.get("prompt_tokens_details") or {}
    return Usage(
        last["prompt_tokens"],
        last.get("completion_tokens", 0),
        details.get("cached_tokens", 0),
        0,
        details.get("cache_creation_tokens", 0),
    )


def check_sent(tally: dict[str, Any], case: Case, request_id: str) -> None:
    """What the upstream was asked: its model, our limit where it reads one, and what only its kind wants."""
    dialect, sent = DIALECTS[case.dialect], tally["body"]
    path = dialect.path if case.native or not dialect.forwards else dialect.forwards
    assert tally["path"] == path
    models = UPSTREAM_MODELS if dialect.limit else EMBEDDERS
    assert sent["model"] == models[case.kind]
    limits = {name: sent[name] for name in ("max_tokens", "max_completion_tokens", "max_output_tokens") if name in sent}
    if not dialect.limit:
        assert limits == {}
    elif path == "/v1/responses":
        assert limits == {"max_output_tokens": 1000}
    elif case.dialect == "chat, newer":
        # Ollama reads the older name only.
        assert limits == dict.fromkeys(["max_completion_tokens", *["max_tokens"] * (case.kind == "ollama")], 1000)
    else:
        assert limits == {"max_tokens": 1000}
    assert ("num_retries" in sent) == (case.kind == "litellm")
    if case.kind == "litellm":
        noted = "litellm_metadata" if path in {"/v1/responses", "/v1/messages"} else "metadata"
        assert (sent["num_retries"], sent[noted]["privaterouter_request_id"]) == (0, request_id)
    if path == "/v1/responses":
        assert sent["store"] is False
    if case.stream and not case.native:
        assert sent["stream_options"] == {"include_usage": True}


def test_the_price_has_a_number_of_its_own_for_each_class() -> None:
    prices = [
        CLASSES.input_nanos_per_mtok,
        CLASSES.cached_input_nanos_per_mtok,
        CLASSES.cache_write_input_nanos_per_mtok,
        CLASSES.output_nanos_per_mtok,
    ]
    assert len({*prices}) == len(prices)
    assert PRICE.version_id == CLASSES.version_id
