"""What a request would cost, asked without running it; billing is a typed stand-in behind a real gRPC server."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import random
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from edge import frame
from edge.limits.buckets import Buckets
from edge.limits.rates import Rates
from edge.lookup.catalogue import Plan, Price, Snapshot, Upstream
from edge.upstream.fleet import Fleet
from edge.v1.callers import Callers
from edge.v1.quote import QuoteParts, quote_router
from kit import server
from kit.client import channel
from kit.errors import AppError
from kit.money import parse_usd
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import (
    BillingServiceServicer,
    BillingServiceStub,
    add_BillingServiceServicer_to_server,
)
from tests.edge.v1.gateway import CALLER, PRICE, Fixed, KnownKeys, OnePlan, Purse, always_alive, body, model
from tests.edge.v1.test_idempotency import Away

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
ANTHROPIC = {"anthropic-version": "2023-06-01"}
PLAN = Plan(
    "test",
    "test",
    0,
    0,
    60,
    all_models=False,
    allowed_models=frozenset({"test/chat", "test/embed", "test/free"}),
    monthly_quota_tokens=None,
    position=0,
)
NOBODY = "redis://127.0.0.1:1/0"


@dataclass
class Balances(BillingServiceServicer):
    """One account, and what its key has spent."""

    posted: int = 10**9
    leased: int = 0
    charged: int = 0
    error: AppError | None = None
    calls: list[Any] = field(default_factory=list)

    async def GetBalance(
        self, request: billing_pb2.GetBalanceRequest, context: object
    ) -> billing_pb2.GetBalanceResponse:
        self.calls.append(request)
        if self.error:
            raise self.error
        account = billing_pb2.Account(
            account_id=request.account_id, posted_nanos=self.posted, leased_nanos=self.leased,
            create_time=to_proto(datetime(2026, 1, 1, tzinfo=UTC)),
        )  # fmt: skip
        return billing_pb2.GetBalanceResponse(account=account)

    async def BatchGetKeySpend(
        self, request: billing_pb2.BatchGetKeySpendRequest, context: object
    ) -> billing_pb2.BatchGetKeySpendResponse:
        self.calls.append(request)
        spend = billing_pb2.KeySpend(api_key_id=request.api_key_ids[0], charged_nanos=self.charged)
        return billing_pb2.BatchGetKeySpendResponse(key_spends=[spend])


class Leased(Purse):
    """What is free in this worker's leases."""

    def __init__(self) -> None:
        super().__init__()
        self.free: dict[str, int] = {}

    def free_nanos(self, account_id: str, api_key_id: str = "") -> int:
        return self.free.get(api_key_id, 0) if api_key_id else sum(self.free.values())


@dataclass
class Stage:
    """The route, and what stands behind it."""

    http: httpx.AsyncClient
    keys: KnownKeys
    balances: Balances
    purse: Leased
    catalogue: Fixed

    async def post(self, content: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post("/v1/quote", content=json.dumps(content, separators=(",", ":")), headers=headers)

    async def quote(self, content: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = await self.post(content, **headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    balances = Balances()  # type: ignore[abstract]  # an edge calls only what it has
    models = [
        model("test/chat"),
        model("test/forbidden"),
        model("test/free", price=Price("free", 0, 0, 0)),
        model("test/embed", kind="embedding", price=replace(PRICE, output_nanos_per_mtok=0)),
    ]
    upstream = Upstream("default", "openai", "http://127.0.0.1:1", "")
    catalogue = Fixed(Snapshot(1, {one.public_name: one for one in models}, {"test": PLAN}, {"default": upstream}))
    keys, purse = KnownKeys(), Leased()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(
            server.running(
                listen=f"unix:{tmp_path}/billing",
                register=lambda real: add_BillingServiceServicer_to_server(balances, real),
                drain_s=0,
            )
        )
        service = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]
        billing = await stack.enter_async_context(channel(target, service))
        buckets = Buckets(NOBODY)
        stack.push_async_callback(buckets.close)
        app = FastAPI()
        parts = QuoteParts(
            callers=Callers(api_keys=keys, accounts=OnePlan(), catalogue=catalogue),
            rates=Rates(buckets),
            fleet=Fleet(catalogue.current, always_alive, random=random, registry=CollectorRegistry()),
            billing=BillingServiceStub(billing),
            money=purse,
            max_body_bytes=1024 * 1024,
        )
        app.include_router(quote_router(parts))
        frame.install_error_handlers(app)
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://edge",
                headers={"authorization": "Bearer sk-pr-good"},
            )
        )
        yield Stage(http, keys, balances, purse, catalogue)


async def test_a_chat_is_quoted_from_its_estimate_to_its_bounds(stage: Stage) -> None:
    # The template has 10 tokens.
    content = body(CHAT, max_tokens=400, n=2)
    size = len(json.dumps(content, separators=(",", ":")))
    answer = await stage.post(content)
    estimate, most = size // 5 + 10, size + 10
    assert answer.json() == {
        "object": "quote",
        "model": "test/chat",
        "input_tokens_estimate": estimate,
        "input_tokens_most": most,
        "output_tokens_most": 800,
        "least_usd": usd(estimate * 50),
        "likely_usd": usd(estimate * 100 + 512 * 300),
        "most_usd": usd(most * 125 + 800 * 300),
        "balance_usd": "1.00",
        "would_pass": True,
        "reason": None,
    }
    assert answer.headers["x-ratelimit-remaining-requests"] == "59"
    assert stage.balances.calls == [billing_pb2.GetBalanceRequest(account_id="account-1")]
    assert (stage.purse.opened, stage.purse.held) == ([], set())


def usd(nanos: int) -> str:
    """So few that the zeros in front are known."""
    return "0." + f"{nanos:09d}".rstrip("0")


async def test_the_field_says_which_endpoint_is_meant(stage: Stage) -> None:
    completion = await stage.quote(body(COMPLETIONS, max_tokens=10, prompt=["a", "b"]))
    assert (completion["model"], completion["output_tokens_most"]) == ("test/chat", 20)
    embedding = await stage.quote(body(EMBEDDINGS))
    assert (embedding["model"], embedding["output_tokens_most"]) == ("test/embed", 0)
    assert embedding["likely_usd"] == usd(embedding["input_tokens_estimate"] * 100)


async def test_a_body_of_responses_is_known_by_its_model(stage: Stage) -> None:
    items = [{"role": "user", "content": "Hi."}]
    for given in ("Hi.", items):
        quote = await stage.quote(body(RESPONSES, input=given, max_output_tokens=400))
        assert (quote["model"], quote["output_tokens_most"], quote["would_pass"]) == ("test/chat", 400, True)
    assert (await stage.quote(body(EMBEDDINGS)))["output_tokens_most"] == 0
    for content, param in (
        (body(RESPONSES, store=True), "store"),
        (body(RESPONSES, max_tokens=5), "max_tokens"),
        (body(RESPONSES, truncation="auto"), "truncation"),
        (body(EMBEDDINGS, input=items), "input"),
    ):
        answer = await stage.post(content)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    answer = await stage.post(body(RESPONSES, model="test/unknown", input=items))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_body_of_messages_is_known_by_the_header_of_its_clients(stage: Stage) -> None:
    content = body(MESSAGES, max_tokens=400, system="Be brief.", stop_sequences=["x"])
    quote = await stage.quote(content, **ANTHROPIC)
    assert (quote["model"], quote["output_tokens_most"], quote["would_pass"]) == ("test/chat", 400, True)
    # The system's text is part of the translated prompt, and so is what the dialect adds.
    assert quote["input_tokens_most"] >= len(json.dumps(content, separators=(",", ":"))) + 10
    del content["max_tokens"]
    assert (await stage.quote(content))["output_tokens_most"] == 1000
    answer = await stage.post(content, **ANTHROPIC)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "max_tokens")


@pytest.mark.parametrize(
    "content, status, code",
    [
        ({"model": "test/chat"}, 400, "invalid_body"),
        ({"model": "test/unknown", "messages": []}, 404, "model_not_found"),
        (body("/v1/messages", tools=[{"type": "bash_20250124", "name": "bash"}]), 400, "invalid_body"),
        (body("/v1/responses", store=True), 400, "invalid_body"),
    ],
)
async def test_anthropics_clients_are_told_of_errors_in_their_shape(
    stage: Stage, content: dict[str, Any], status: int, code: str
) -> None:
    answer = await stage.post(content, **ANTHROPIC)
    told = answer.json()
    assert (answer.status_code, told["type"], told["error"]["code"]) == (status, "error", code)
    assert set(told["error"]) == {"type", "message", "code", "param"}
    answer = await stage.post(content, **ANTHROPIC, authorization="Bearer sk-pr-bad")
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


async def test_what_cannot_be_translated_is_quoted_where_an_upstream_speaks_the_dialect(stage: Stage) -> None:
    content = body(RESPONSES, tools=[{"type": "custom", "name": "sql"}], max_output_tokens=400)
    answer = await stage.post(content)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].type")
    snapshot = stage.catalogue.snapshot
    native = replace(snapshot.upstreams["default"], dialects=frozenset({"responses"}))
    stage.catalogue.snapshot = replace(snapshot, upstreams={"default": native})
    most = len(json.dumps(content, separators=(",", ":"))) + 110
    assert (await stage.quote(content))["most_usd"] == usd(most * 125 + 400 * 300)


@pytest.mark.parametrize(
    "content",
    [
        {"model": "test/chat"},
        {"model": "test/chat", "messages": [{"role": "user", "content": "Hi."}], "prompt": "Hi."},
        {"model": "test/chat", "messages": []},
        {"model": "test/embed", "messages": [{"role": "user", "content": "Hi."}]},
        {"model": "test/chat", "prompt": "Hi.", "api_base": "http://elsewhere"},
        {"prompt": "Hi."},
    ],
)
async def test_what_would_be_refused_as_a_body_is_refused_as_a_quote(stage: Stage, content: dict[str, Any]) -> None:
    answer = await stage.post(content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")
    assert stage.balances.calls == []


async def test_who_may_not_ask_gets_no_quote(stage: Stage) -> None:
    answer = await stage.post(body(CHAT), authorization="Bearer sk-pr-bad")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    answer = await stage.post(body(CHAT, model="test/unknown"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    answer = await stage.post(body(CHAT, user="x" * 2**20))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def verdict(stage: Stage, **headers: str) -> tuple[bool, str | None, str | None]:
    quote = await stage.quote(body(CHAT, max_tokens=1000), **headers)
    return quote["would_pass"], quote["reason"], quote["balance_usd"]


async def test_a_model_that_is_not_allowed_has_a_price_and_does_not_pass(stage: Stage) -> None:
    quote = await stage.quote(body(CHAT, model="test/forbidden"))
    assert (quote["would_pass"], quote["reason"], quote["balance_usd"]) == (False, "model_not_allowed", None)
    assert parse_usd(quote["most_usd"]) > 300_000


async def test_a_balance_that_does_not_pay_for_the_least_answer_does_not_pass(stage: Stage) -> None:
    stage.balances.posted = 999_999
    assert await verdict(stage) == (False, "insufficient_credits", "0.000999999")
    stage.balances.posted = 1_000_000
    assert await verdict(stage) == (True, None, "0.001")


async def test_credit_in_use_counts_where_it_is_not_free_on_this_worker(stage: Stage) -> None:
    stage.balances.leased = 10**9 - 50_000
    assert await verdict(stage) == (False, "credits_in_use", "1.00")
    stage.purse.free = {"another key": 50_000}
    assert await verdict(stage) == (True, None, "1.00")
    # What the key's own lease has free needs nobody's leave.
    stage.balances.posted = 500_000
    stage.purse.free = {"key-1": 400_000}
    assert await verdict(stage) == (True, None, "0.0005")


async def test_a_used_up_month_of_the_key_does_not_pass(stage: Stage) -> None:
    stage.keys.caller = replace(CALLER, monthly_limit_nanos=1_000_000)
    stage.balances.charged = 800_000
    assert await verdict(stage) == (True, None, "1.00")
    stage.balances.charged = 950_000
    assert await verdict(stage) == (False, "key_limit_reached", "1.00")


async def test_what_costs_nothing_asks_nobody(stage: Stage) -> None:
    stage.balances.error = Away("away")
    quote = await stage.quote(body(CHAT, model="test/free"))
    assert (quote["most_usd"], quote["balance_usd"], quote["would_pass"]) == ("0.00", None, True)
    assert stage.balances.calls == []


async def test_where_billing_cannot_be_asked_there_is_no_quote(stage: Stage) -> None:
    stage.balances.error = Away("away")
    answer = await stage.post(body(CHAT))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")


async def test_the_callers_own_limit_lowers_the_most_or_does_not_pass(stage: Stage) -> None:
    header = "x-privaterouter-max-cost-usd"
    content = body(CHAT, max_tokens=1000)
    quote = await stage.quote(content, **{header: "0.0002"})
    assert parse_usd(quote["most_usd"]) <= 200_000
    assert quote["would_pass"]
    assert 256 <= quote["output_tokens_most"] < 1000
    assert await verdict(stage, **{header: "0.00001"}) == (False, "max_cost_too_low", None)
    answer = await stage.post(content, **{header: "cheap"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, header)


async def test_quotes_are_counted_as_requests(stage: Stage) -> None:
    stage.catalogue.snapshot = replace(stage.catalogue.snapshot, plans={"test": replace(PLAN, rpm=1, tpm=1)})
    assert await verdict(stage) == (True, None, "1.00")
    answer = await stage.post(body(CHAT))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
