"""Who gets what: every route of the edge, asked by everybody, on real services. A route without a row here fails."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from edge.app import Edge
from edge.clients import Clients
from edge.parts import built
from edge.settings import EdgeSettings
from kit.clock import utc_now
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.auth.v1 import auth_pb2
from privaterouter.usage.v1 import usage_pb2
from tests.support.services import RunningServices
from tests.support.waiting import eventually

PASSWORD = "correct-horse-battery-staple"
_numbers = count(1)
_ids = IdFactory()


@dataclass(frozen=True)
class Row:
    """What a route answers: a status, or a status and an error's code. `owner` is asked last, as it may delete.

    Paths and bodies name what belongs to `owner`: `{key_id}`, `{request_id}`, `{user_id}`, `{email}`.
    """

    nobody: int | str
    owner: int | str
    stranger: int | str
    key: int | str
    admin: int | str
    body: dict[str, Any] | None = None
    fill: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)


def public(status: int, body: dict[str, Any] | None = None) -> Row:
    return Row(status, status, status, status, status, body)


def session(
    status: int,
    stranger: int | str,
    *,
    admin: int | str = 0,
    body: dict[str, Any] | None = None,
    query: dict[str, str] | None = None,
) -> Row:
    """For people who have logged in. An admin is as strange to somebody's things as anybody."""
    no = "401 invalid_session"
    return Row(no, status, stranger, no, admin or stranger, body, query=query or {})


def admins(status: int, body: dict[str, Any] | None = None, *, query: dict[str, str] | None = None, **fill: str) -> Row:
    no, forbidden = "401 invalid_session", "403 admin_required"
    return Row(no, forbidden, forbidden, no, status, body, fill, query or {})


def inference(status: int | str, body: dict[str, Any] | None = None, **fill: str) -> Row:
    """For API keys alone."""
    no = "401 invalid_api_key"
    return Row(no, no, no, status, no, body, fill)


NO_KEY, NO_EVENT = "404 api_key_not_found", "404 usage_not_found"
MESSAGES = [{"role": "user", "content": "Hi."}]
CHAT = {"model": "privaterouter/fast", "messages": MESSAGES, "max_tokens": 5}
UNSUPPORTED = "404 endpoint_not_supported"
# What the models of an installation cost, so that nothing is changed; and one that nobody sees.
PRICES = {"input_usd_per_mtok": "0.10", "output_usd_per_mtok": "0.30"}
NEW_MODEL = {
    "public_name": "new/{number}",
    "kind": "chat",
    "status": "disabled",
    "context_tokens": 100,
    "routes": [{"upstream_name": "default", "upstream_model": "m"}],
    "prices": PRICES,
}

ROWS = {
    "GET /health": public(200),
    "GET /health/ready": public(200),
    "GET /api/docs": public(200),
    "GET /api/openapi.json": public(200),
    "GET /api/models": public(200),
    "GET /api/plans": public(200),
    "POST /api/auth/signup": public(201, {"email": "new-{number}@example.com", "password": PASSWORD}),
    "POST /api/auth/login": public(200, {"email": "{email}", "password": PASSWORD}),
    "POST /api/auth/logout": session(204, 204),
    "GET /api/auth/me": session(200, 200),
    "PATCH /api/auth/me": session(200, 200, body={"name": "renamed"}),
    "POST /api/auth/password": session(204, 204, body={"current_password": PASSWORD, "new_password": PASSWORD}),
    "GET /api/auth/sessions": session(200, 200),
    "DELETE /api/auth/sessions": session(204, 204),
    "DELETE /api/auth/sessions/{session_id}": session(204, "404 session_not_found"),
    "GET /api/keys": session(200, 200),
    "POST /api/keys": session(201, 201, body={"name": "another"}),
    "PATCH /api/keys/{key_id}": session(200, NO_KEY, body={"name": "renamed"}),
    "DELETE /api/keys/{key_id}": session(204, NO_KEY),
    "GET /api/billing/balance": session(200, 200),
    "POST /api/billing/topup": session(200, 200, body={"amount_usd": 10}),
    "GET /api/billing/transactions": session(200, 200),
    "GET /api/billing/transactions/export.csv": session(200, 200),
    "GET /api/usage": session(200, 200),
    "GET /api/usage/summary": session(200, 200),
    "GET /api/usage/export.csv": session(200, 200),
    "GET /api/usage/{request_id}": session(200, NO_EVENT),
    "POST /api/playground/chat/completions": session(200, NO_KEY, body=CHAT, query={"key_id": "{key_id}"}),
    "GET /api/admin/users": admins(200),
    "GET /api/admin/users/{user_id}": admins(200),
    "PATCH /api/admin/users/{user_id}": admins(200, {"name": "renamed"}),
    "GET /api/admin/users/{user_id}/keys": admins(200),
    "POST /api/admin/users/{user_id}/plan": admins(200, {"plan": "starter"}),
    "POST /api/admin/users/{user_id}/credits": admins(200, {"amount_usd": "0.5", "reason": "goodwill"}),
    "GET /api/admin/models": admins(200),
    "POST /api/admin/models": admins(201, NEW_MODEL),
    "PATCH /api/admin/models/{name:path}": admins(200, {"family": "gemma"}, name="privaterouter/fast"),
    "GET /api/admin/prices": admins(200, query={"model": "privaterouter/fast"}),
    "POST /api/admin/prices": admins(200, {"model": "privaterouter/fast", "prices": PRICES}),
    "POST /api/admin/prices/preview": admins(200, {"model": "privaterouter/fast", "prices": PRICES}),
    "GET /api/admin/plans": admins(200),
    "PATCH /api/admin/plans/{name}": admins(200, {"rpm": 20}, name="free"),
    "GET /api/admin/audit-log": admins(200),
    "GET /api/admin/upstreams": admins(200),
    "GET /api/admin/overview": admins(200),
    "GET /api/admin/users/{user_id}/usage": admins(200),
    "GET /api/admin/users/{user_id}/usage/summary": admins(200),
    "GET /api/admin/users/{user_id}/transactions": admins(200),
    "GET /api/admin/ledger": admins(200),
    "GET /api/admin/ledger/totals": admins(200),
    "PUT /api/admin/upstreams/{name}": admins(200, {"kind": "ollama", "base_url": "http://spare"}, name="spare"),
    "POST /v1/chat/completions": inference(200, CHAT),
    "POST /v1/completions": inference(200, {"model": "privaterouter/fast", "prompt": "Hi.", "max_tokens": 5}),
    "POST /v1/embeddings": inference(200, {"model": "privaterouter/embed", "input": "Hi."}),
    "POST /v1/responses": inference(200, {"model": "privaterouter/fast", "input": "Hi.", "max_output_tokens": 5}),
    "POST /v1/messages": inference(200, {"model": "privaterouter/fast", "messages": MESSAGES, "max_tokens": 5}),
    "POST /v1/messages/count_tokens": inference(200, {"model": "privaterouter/fast", "messages": MESSAGES}),
    "POST /v1/quote": inference(200, {"model": "privaterouter/fast", "messages": MESSAGES}),
    "GET /v1/models": inference(200),
    "GET /v1/models/{model_id:path}": inference(200, model_id="privaterouter/fast"),
    **{
        f"{method} /v1/{{path:path}}": Row(
            UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, fill={"path": "files"}
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
    # An answer to HEAD has no body to say more in.
    "HEAD /v1/{path:path}": Row(404, 404, 404, 404, 404, fill={"path": "files"}),
}


@dataclass
class Stage:
    """The edge, and everybody who asks it."""

    edge: Edge
    clients: dict[str, httpx.AsyncClient]
    names: dict[str, str]
    """What belongs to the owner."""


@pytest.fixture
async def stage(services: RunningServices, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A whole edge, with an owner of a key and a call, a stranger, and an admin who signed up for this test."""
    environment = services.environment | {"edge_journal_dir": str(tmp_path)}
    settings = EdgeSettings.model_validate({name.lower(): value for name, value in environment.items()})
    async with AsyncExitStack() as stack:
        whole = await stack.enter_async_context(built(settings))
        deps = whole.edge.state.deps

        async def client(**headers: str) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(whole.edge, raise_app_exceptions=False)
            made = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=headers)
            return await stack.enter_async_context(made)

        nobody = await client()
        tokens, users = {}, {}
        for name in ("owner", "stranger", "admin"):
            email = f"{name}-{_ids()}@example.com"
            answer = await nobody.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
            tokens[name], users[name] = answer.json()["access_token"], answer.json()["user"]
            nobody.cookies.clear()
        clients = {"nobody": nobody} | {
            name: await client(authorization=f"Bearer {token}") for name, token in tokens.items()
        }
        await make_admin(deps.clients, users["admin"]["id"])
        for name in users:
            await eventually(opened(clients[name]), what="the account")
        created = (await clients["owner"].post("/api/keys", json={"name": "laptop"})).json()
        (session,) = (await clients["owner"].get("/api/auth/sessions")).json()["items"]
        clients["key"] = await client(authorization=f"Bearer {created['key']}")
        names = {
            "key_id": created["api_key"]["id"],
            "session_id": session["id"],
            "user_id": users["owner"]["id"],
            "email": users["owner"]["email"],
            "request_id": await used(deps.clients, users["owner"]["id"], created["api_key"]["id"]),
        }
        yield Stage(whole.edge, clients, names)


def opened(client: httpx.AsyncClient) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return (await client.get("/api/billing/balance")).status_code == 200

    return ask


async def make_admin(clients: Clients, user_id: str) -> None:
    change = auth_pb2.User(id=user_id, role=auth_pb2.USER_ROLE_ADMIN)
    await clients.auth.UpdateUser(auth_pb2.UpdateUserRequest(user=change, update_mask=FieldMask(paths=["role"])))


async def used(clients: Clients, account_id: str, api_key_id: str) -> str:
    """The id of a call that cost nothing."""
    record = usage_pb2.UsageRecord(
        request_id=str(_ids()),
        worker_id=str(_ids()),
        account_id=account_id,
        api_key_id=api_key_id,
        model_public_name="privaterouter/fast",
        endpoint="embeddings",
        status=usage_pb2.USAGE_STATUS_SUCCESS,
        price_version_id=str(_ids()),
        start_time=to_proto(utc_now()),
        http_status=200,
    )
    await clients.usage.RecordUsage(usage_pb2.RecordUsageRequest(worker_id=record.worker_id, records=[record]))
    return record.request_id


def test_every_route_has_a_row_and_every_row_a_route(stage: Stage) -> None:
    routes = {f"{method} {route.path}" for route in stage.edge.api_routes() for method in route.methods or ()}
    assert routes | {f"POST {path}" for path in stage.edge.raw} == set(ROWS)


@pytest.mark.parametrize("route", ROWS)
async def test_everybody_gets_what_is_theirs(stage: Stage, route: str) -> None:
    row = ROWS[route]
    method, _, path = route.partition(" ")
    for name in ("nobody", "key", "stranger", "admin", "owner"):
        names = stage.names | {"number": f"{next(_numbers)}-{_ids()}"}
        url = path.replace(":path}", "}").format(**names, **row.fill)
        query = filled(row.query, names) or None
        answer = await stage.clients[name].request(method, url, json=filled(row.body, names), params=query)
        expected = getattr(row, name)
        assert said(answer) == (expected if isinstance(expected, str) else str(expected)), f"{name}: {answer.text}"
        assert answer.headers["x-request-id"]
        if name == "stranger" and route != "POST /api/auth/login":
            assert not any(owned in answer.text for owned in stage.names.values()), answer.text
        stage.clients[name].cookies.clear()


def filled(body: dict[str, Any] | None, names: dict[str, str]) -> dict[str, Any] | None:
    if body is None:
        return None
    return {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}


def said(answer: httpx.Response) -> str:
    """The status, and the code of an error."""
    if answer.is_success or answer.request.method == "HEAD":
        return str(answer.status_code)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return f"{answer.status_code} {error['code']}"
