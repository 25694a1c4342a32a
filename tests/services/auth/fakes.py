"""What auth calls, standing in for billing and for a LiteLLM proxy; both speak their real protocol."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web

from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceServicer

MASTER_KEY = "sk-the-master-key-of-the-fake-proxy"
NEXT_MASTER_KEY = "sk-the-next-master-key-of-the-fake-proxy"


class FakeBilling(BillingServiceServicer):
    """Opens accounts, or fails as told."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.calls = 0
        self.fails_with: grpc.StatusCode | None = None

    async def OpenAccount(
        self, request: billing_pb2.OpenAccountRequest, context: Any
    ) -> billing_pb2.OpenAccountResponse:
        self.calls += 1
        if self.fails_with is not None:
            await context.abort(self.fails_with, "billing is told to fail")
        if request.account_id not in self.opened:
            self.opened.append(request.account_id)
        return billing_pb2.OpenAccountResponse(account=billing_pb2.Account(account_id=request.account_id))


async def nothing() -> None:
    """No surprise while a virtual key is made."""


@dataclass
class FakeLiteLlm:
    """The key management of a LiteLLM proxy: aliases are unique, and only the master key may.

    It answers like the real one, which tests/contracts/litellm holds it to. Every other path is noted as `strays`, but
    for those of somebody else's, who looks for a server that had this port before.
    """

    url: str = ""
    master_key: str = MASTER_KEY
    keys: dict[str, str] = field(default_factory=dict)
    budgets: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuses_with: int | None = None
    garbles: bool = False
    loses_answers: bool = False
    while_generating: Callable[[], Any] = nothing
    while_updating: Callable[[], Any] = nothing

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await self._accepted(request)
        alias = body["key_alias"]
        if alias in self.keys:
            error = {"message": f"Key with alias '{alias}' already exists.", "param": "key_alias", "code": "400"}
            return web.json_response({"error": error}, status=400)
        self.keys[alias] = f"sk-virtual-{len(self.requests)}"
        self.budgets[alias] = (body.get("max_budget"), body.get("budget_duration"))
        await self.while_generating()
        if self.loses_answers and request.transport is not None:
            request.transport.abort()
        if self.garbles:
            return web.Response(text="<html>not what you asked for</html>")
        return web.json_response({"key": self.keys[alias], "key_alias": alias, "metadata": body["metadata"]})

    async def update(self, request: web.Request) -> web.StreamResponse:
        body = await self._accepted(request)
        await self.while_updating()
        aliases = {virtual_key: alias for alias, virtual_key in self.keys.items()}
        if body["key"] not in aliases:
            return web.json_response(
                {"error": {"message": "Key not found.", "param": "key", "code": "404"}}, status=404
            )
        self.budgets[aliases[body["key"]]] = (body["max_budget"], body["budget_duration"])
        return web.json_response(body)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        body = await self._accepted(request)
        (alias,) = body["key_aliases"]
        if alias not in self.keys:
            return web.json_response({"error": {"message": "No keys found", "code": "404"}}, status=404)
        del self.keys[alias]
        return web.json_response({"deleted_keys": [alias]})

    async def stray(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in {MASTER_KEY, NEXT_MASTER_KEY}:
            self.strays.append(request.path)
        raise web.HTTPNotFound

    async def _accepted(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append((request.path, body))
        if request.headers["Authorization"] != f"Bearer {self.master_key}":
            error = {"message": "Authentication Error", "param": "key", "code": "401"}
            raise web.HTTPUnauthorized(text=json.dumps({"error": error}), content_type="application/json")
        if self.refuses_with is not None:
            raise {401: web.HTTPUnauthorized, 404: web.HTTPNotFound, 500: web.HTTPInternalServerError}[
                self.refuses_with
            ]
        return body

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeLiteLlm"]:
        """The proxy on a port of its own, at `url`."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/key/generate", self.generate),
                web.post("/key/update", self.update),
                web.post("/key/delete", self.delete),
                web.route("*", "/{path:.*}", self.stray),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


@dataclass
class Time:
    """A clock that stands still until a test moves it."""

    now: Any

    def __call__(self) -> Any:
        return self.now


async def cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """Stops background tasks and waits for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
