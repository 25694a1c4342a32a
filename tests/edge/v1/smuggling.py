"""Every route that takes a request for a model, and what comes of one and the same attack on all of them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.edge.v1.gateway import Gateway, body

HEADERS = {"authorization": "Bearer sk-pr-good", "content-type": "application/json"}


@dataclass(frozen=True)
class Route:
    """How a route's requests and errors look."""

    is_anthropic: bool = False
    runs: bool = True
    """Whether it has the request answered, and does not only say what it would be."""
    limit: str = ""
    """The field that limits its answers."""
    text: str = "messages"
    """The field that has the prompt."""


ROUTES: Mapping[str, Route] = {
    "/v1/chat/completions": Route(limit="max_tokens"),
    "/v1/completions": Route(limit="max_tokens", text="prompt"),
    "/v1/embeddings": Route(text="input"),
    "/v1/responses": Route(limit="max_output_tokens", text="input"),
    "/v1/messages": Route(is_anthropic=True, limit="max_tokens"),
    "/v1/messages/count_tokens": Route(is_anthropic=True, runs=False, limit="max_tokens"),
    "/v1/quote": Route(runs=False, limit="max_tokens"),
}
CONVERSATIONS = [path for path, route in ROUTES.items() if route.text == "messages"]

Attack = Callable[[str], bytes]
"""The body that attacks a route."""


def whole(path: str, **fields: Any) -> dict[str, Any]:
    """A good body for a route, but for these fields."""
    given = body(path, **fields)
    return given | {"model": "test/embed"} if path == "/v1/embeddings" and "model" not in fields else given


def plain(path: str, **fields: Any) -> bytes:
    """The same as bytes."""
    return json.dumps(whole(path, **fields)).encode()


def with_raw(path: str, *, first: str = "", last: str = "") -> bytes:
    """A good body with raw members before or after the others."""
    text = json.dumps(whole(path))
    return ("{" + first + text[1:-1] + last + "}").encode()


async def decision(
    gateway: Gateway, path: str, data: bytes | AsyncIterator[bytes], headers: Mapping[str, str] = HEADERS
) -> tuple[int, str]:
    """Status and code of the answer, which has its route's shape; empty where it is none of ours.

    Whoever was refused left nothing behind: no money held, no record, no word to the upstream.
    """
    purse = gateway.purse
    before = purse.balance_nanos, len(purse.opened), len(purse.final)
    sent = io.BytesIO(data) if isinstance(data, bytes) else data
    async with gateway.http.post(gateway.url + path, data=sent, headers=headers) as response:
        text = await response.text()
        request_id = response.headers.get("x-request-id", "")
    if response.status < 400 or not request_id:
        return response.status, ""
    assert (purse.balance_nanos, len(purse.opened), len(purse.final)) == before
    assert purse.held == set()
    assert await gateway.tally(request_id) is None
    return response.status, code(path, text)


async def refused_param(gateway: Gateway, path: str, data: bytes) -> str | None:
    """The field that a refusal names; it left nothing behind."""
    assert await decision(gateway, path, data) == (400, "invalid_body")
    async with gateway.http.post(gateway.url + path, data=io.BytesIO(data), headers=HEADERS) as response:
        return str((await response.json())["error"]["param"])


def code(path: str, text: str) -> str:
    """The code of an error, whose shape must be that of its route."""
    answer = json.loads(text)
    assert set(answer) == ({"type", "error"} if ROUTES[path].is_anthropic else {"error"})
    assert answer.get("type", "error") == "error"
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["message"].endswith((".", "!", "?"))
    return str(answer["error"]["code"])


async def decisions(gateway: Gateway, attack: Attack, headers: Mapping[str, str] = HEADERS) -> dict[str, Any]:
    """The decision on an attack, by route."""
    return {path: await decision(gateway, path, attack(path), headers) for path in ROUTES}


def all_routes(status: int, error: str = "") -> dict[str, Any]:
    """The same decision on every route."""
    return dict.fromkeys(ROUTES, (status, error))


async def raw_request(gateway: Gateway, head: list[str], data: bytes) -> bytes:
    """What comes back for bytes that no client would send; the connection is closed after them."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join([*head, "connection: close", "", ""]).encode("latin-1") + data)
    await writer.drain()
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
