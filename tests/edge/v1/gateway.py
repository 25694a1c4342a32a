"""The hot path under a real server and in front of a real upstream process; look-ups and money are typed stand-ins."""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from edge import frame
from edge.api import playground
from edge.errors import EdgeError
from edge.limits.rates import Admission, RateAnswer, Rates
from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import ApiKeys
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Catalogue, Model, Plan, Price, Route, Snapshot, Upstream
from edge.money.holds import Hold, Needs
from edge.money.path import MoneyPath
from edge.money.records import Record, Status
from edge.upstream.client import ClientKind
from edge.upstream.clients import make_client
from edge.upstream.fleet import Fleet
from edge.upstream.looks import Looks
from edge.v1.callers import Callers
from edge.v1.counting import counting_router
from edge.v1.endpoints import ENDPOINTS
from edge.v1.exchange import Patience, Running
from edge.v1.idempotency import Claim, Idempotency, Replay
from edge.v1.inference import Inference, Parts
from edge.v1.quote import QuoteParts, quote_router
from edge.v1.reaching import Upstreams
from edge.v1.tickets import Tickets
from kit.ids import IdFactory
from privaterouter.billing.v1 import billing_pb2
from tests.support.serving import Server
from tests.support.waiting import eventually

CLIENT = ClientKind(os.environ.get("UPSTREAM_CLIENT", ClientKind.POOL))
"""Who makes connections to upstreams in these tests: both clients have to pass them."""
CALLER = Caller("key-1", "account-1", None, frozenset(), None, None, virtual_key="")
PRICE = Price("price-1", 100_000_000, 50_000_000, 300_000_000, 125_000_000)


ROUTE = Route("default", "hidden:latest", 1, 0, first_byte_timeout_s=30.0, idle_timeout_s=30.0, total_timeout_s=60.0)
"""Longer than any machine stands still; `Gateway.hurry` is for the tests in which an upstream is silent."""


def model(name: str, **changes: Any) -> Model:
    """A chat model on the upstream `default`."""
    return replace(
        Model(
            id=name,
            public_name=name,
            family="test",
            kind="chat",
            context_tokens=8192,
            max_output_tokens=1000,
            dimensions=0,
            template_tokens=10,
            tools_tokens=100,
            image_tokens=1000,
            price=PRICE,
            routes=(ROUTE,),
            create_time=datetime(2026, 1, 1, tzinfo=UTC),
            upstream_model="hidden:latest",
        ),
        **changes,
    )


class KnownKeys(ApiKeys):
    """Knows one key."""

    def __init__(self) -> None:
        self.caller = CALLER

    def cached(self, secret: str) -> Caller | None:
        return self.caller if secret == "sk-pr-good" else None

    async def resolve(self, secret: str) -> Caller:
        raise EdgeError("invalid_api_key", "This API key is not valid.")

    def note_use(self, caller: Caller) -> None:
        pass


class OnePlan(Accounts):
    """Every account is on the plan `test`."""

    def __init__(self) -> None:
        pass

    def cached(self, account_id: str) -> str | None:
        return "test"


class Fixed(Catalogue):
    """One snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def current(self) -> Snapshot:
        return self.snapshot


class Generous(Rates):
    """Allows everything until told otherwise, and keeps what comes back."""

    def __init__(self) -> None:
        self.answer = Admission(RateAnswer(allowed=True, limit=60, remaining=59, reset_s=1.0, retry_after_s=0))
        self.asked: list[int] = []
        self.released: list[int] = []

    async def admit(self, caller: Caller, plan: Plan, *, request_id: str, tokens: int) -> Admission:
        if self.answer.allowed:
            self.asked.append(tokens)
        return self.answer

    async def count(self, caller: Caller, plan: Plan) -> Admission:
        return self.answer

    def release(self, admission: Admission, used_tokens: int) -> None:
        self.released.append(used_tokens)


class Ledger(Idempotency):
    """Keys and what became of their requests, in memory."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.replays: dict[str, Replay] = {}
        self.kept: dict[str, bytes] = {}

    async def claim(self, key: str, caller: Caller, *, path: str, body: bytes, request_id: str) -> Claim | Replay:
        if key in self.replays:
            return self.replays[key]
        if key in self.claims:
            raise EdgeError("idempotency_key_in_use", "Wait.")
        self.claims[key] = Claim(key, caller, request_id)
        return self.claims[key]

    async def release(self, claim: Claim) -> None:
        del self.claims[claim.key]

    async def keep_answer(self, claim: Claim, answer: bytes) -> None:
        if answer:
            self.kept[claim.key] = answer


class Purse(MoneyPath):
    """Holds from a balance, as a lease would, and keeps the final records."""

    def __init__(self) -> None:
        self.balance_nanos = 10**12
        self.opened: list[Record] = []
        self.final: list[Record] = []
        self.held: set[Hold] = set()
        self.wanted: list[int] = []
        """What was to be held for the whole of each request."""
        self.refused_nanos: int | None = None
        """What was refused a moment ago. None: nothing."""

    def try_hold(self, *, account_id: str, api_key_id: str, full_nanos: int) -> Hold | None:
        return None

    def check(self, *, account_id: str, api_key_id: str, monthly_limit_nanos: int | None, needs: Needs) -> None:
        if self.refused_nanos is not None and needs.least_nanos >= self.refused_nanos:
            raise EdgeError("insufficient_credits", "Top up.")

    async def hold(
        self, *, account_id: str, api_key_id: str, monthly_limit_nanos: int | None, full_nanos: int, least_nanos: int
    ) -> Hold:
        self.wanted.append(full_nanos)
        if self.balance_nanos < least_nanos:
            raise EdgeError("insufficient_credits", "Top up.")
        hold = Hold(None, min(full_nanos, self.balance_nanos))
        self.balance_nanos -= hold.nanos
        self.held.add(hold)
        return hold

    def release(self, hold: Hold) -> None:
        self.balance_nanos += hold.nanos
        self.held.remove(hold)

    def free_nanos(self, account_id: str, api_key_id: str = "") -> int:
        return 0

    def open(self, hold: Hold, record: Record, refresh: Callable[[], None] = lambda: None) -> None:
        assert record.status is Status.OPEN
        self.opened.append(record)

    async def finish(self, hold: Hold, record: Record) -> None:
        assert record.status is not Status.OPEN
        record.uncharged_nanos += max(0, record.cost_nanos - hold.nanos)
        record.cost_nanos = min(record.cost_nanos, hold.nanos)
        self.balance_nanos += hold.nanos - record.cost_nanos
        self.held.remove(hold)
        self.final.append(record)


class Balance:
    """Billing, as far as quotes ask it."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse

    async def GetBalance(self, request: object, *, timeout: float) -> billing_pb2.GetBalanceResponse:
        account = billing_pb2.Account(account_id="account-1", posted_nanos=self._purse.balance_nanos)
        return billing_pb2.GetBalanceResponse(account=account)


@dataclass
class Gateway:
    """A running hot path, and a client of it."""

    url: str
    upstream_url: str
    http: aiohttp.ClientSession
    keys: KnownKeys
    rates: Generous
    ledger: Ledger
    purse: Purse
    running: Running
    catalogue: Fixed
    overloaded: asyncio.Event
    """Set, it refuses new requests."""

    def post(self, path: str = "/v1/chat/completions", *, timeout_s: float = 30, **fields: Any) -> Any:
        """A request, to be used as a context; `script` says how the upstream answers, `timeout_s` when we leave."""
        headers = {"authorization": "Bearer sk-pr-good"}
        timeout = aiohttp.ClientTimeout(timeout_s)
        return self.http.post(self.url + path, json=body(path, **fields), headers=headers, timeout=timeout)

    def hurry(self, *upstreams: str, first_byte_timeout_s: float = 1.0, idle_timeout_s: float = 1.0) -> None:
        """From now on these upstreams, or all, may be silent for so long."""
        snapshot = self.catalogue.snapshot

        def hurried(route: Route) -> Route:
            if upstreams and route.upstream_name not in upstreams:
                return route
            return replace(route, first_byte_timeout_s=first_byte_timeout_s, idle_timeout_s=idle_timeout_s)

        models = {
            name: replace(one, routes=tuple(hurried(route) for route in one.routes))
            for name, one in snapshot.models.items()
        }
        self.catalogue.snapshot = replace(snapshot, models=models)

    async def asked(self) -> str:
        """Id of the first request, once an upstream has it."""

        async def known() -> str:
            opened = self.purse.opened
            return opened[0].request_id if opened and await self.tally(opened[0].request_id) else ""

        return await eventually(known, what="the upstream to be asked")

    async def leave(self, path: str = "/v1/chat/completions", *, once: Callable[[], bool], **fields: Any) -> None:
        """Asks, and leaves when an upstream has the request and `once()`."""

        async def ask() -> None:
            async with self.post(path, **fields) as response:
                await response.read()

        async def far_enough() -> bool:
            return once()

        client = asyncio.create_task(ask())
        await self.asked()
        await eventually(far_enough, what="the moment to leave")
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client

    async def tally(self, request_id: str) -> Any:
        """What the upstream knows of a request; None where it never saw it."""
        async with self.http.get(f"{self.upstream_url}/tally?id={request_id}") as response:
            return (await response.json()).get(request_id)


def body(path: str, *, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A request body for an endpoint."""
    messages = [{"role": "user", "content": "Hi."}]
    givens: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"model": "test/chat", "messages": messages},
        "/v1/responses": {"model": "test/chat", "input": "Hi."},
        "/v1/messages": {"model": "test/chat", "messages": messages, "max_tokens": 9},
        "/v1/messages/count_tokens": {"model": "test/chat", "messages": messages},
        "/v1/quote": {"model": "test/chat", "messages": messages},
        "/v1/completions": {"model": "test/chat", "prompt": "Hi."},
        "/v1/embeddings": {"model": "test/embed", "input": "Hi."},
    }
    given = givens[path]
    if script is not None:
        told = json.dumps(script)
        given |= {"metadata": {"user_id": told}} if path == "/v1/messages" else {"user": told}
    return given | fields


async def always_alive(upstream: Upstream) -> bool:
    """No upstream is probed."""
    return True


@asynccontextmanager
async def running_gateway(
    upstream_url: str, *, patience: Patience, max_body_bytes: int = 1024 * 1024, deps: Any = None
) -> AsyncIterator[Gateway]:
    """A gateway in front of this upstream, on a port of its own; with `deps`, it has the playground too."""
    upstream = Upstream("default", "openai", upstream_url, "upstream-secret", virtual_keys=False)
    models = [
        model("test/chat"),
        model("test/embed", kind="embedding", max_output_tokens=0),
        model("test/forbidden"),
        model("test/nowhere", routes=()),
        model("test/down", routes=(Route("down", "hidden:latest", 1, 0),)),
        model("test/virtual", routes=(replace(ROUTE, upstream_name="proxy"),)),
    ]
    allowed = frozenset(one.public_name for one in models) - {"test/forbidden"}
    plan = Plan(
        "test", "Test", 0, 0, 60, all_models=False, allowed_models=allowed, monthly_quota_tokens=None, position=0
    )
    upstreams = {
        "default": upstream,
        "down": replace(upstream, name="down", base_url="http://127.0.0.1:1"),
        "proxy": replace(upstream, name="proxy", kind="litellm", virtual_keys=True),
    }
    snapshot = Snapshot(1, {one.public_name: one for one in models}, {"test": plan}, upstreams)
    keys, rates, ledger, purse = KnownKeys(), Generous(), Ledger(), Purse()
    catalogue, running, overloaded = Fixed(snapshot), Running(patience), asyncio.Event()
    client, looks = make_client(CLIENT), Looks()
    fleet = Fleet(catalogue.current, always_alive, random=random.random, registry=CollectorRegistry())
    callers, ids = Callers(api_keys=keys, accounts=OnePlan(), catalogue=catalogue), IdFactory(time.time_ns, os.urandom)
    inference = Inference(
        Parts(
            callers=callers,
            tickets=Tickets(rates, ledger),
            money=purse,
            upstreams=Upstreams(client, fleet, looks),
            running=running,
            new_id=ids.text,
            now_ns=time.time_ns,
            is_overloaded=overloaded.is_set,
            max_body_bytes=max_body_bytes,
        )
    )
    rest = FastAPI(redirect_slashes=False)
    billing: Any = Balance(purse)
    quotes = QuoteParts(
        callers=callers, rates=rates, fleet=fleet, billing=billing, money=purse, max_body_bytes=max_body_bytes
    )
    rest.include_router(quote_router(quotes))
    rest.include_router(counting_router(callers, rates, max_body_bytes=max_body_bytes))
    frame.install_error_handlers(rest)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = ENDPOINTS.get(scope["path"])
        if deps is not None and scope["path"] == playground.PATH:
            await playground.answer(deps, inference, scope, receive, send)
        elif endpoint is None:
            await frame.framed(rest, scope, receive, send, ids=ids)
        else:
            await inference(endpoint, scope, receive, send)

    server = Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, http="httptools"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}"
        yield Gateway(url, upstream_url, http, keys, rates, ledger, purse, running, catalogue, overloaded)
    server.leaving.set()
    await serving
    await client.close()
