"""Entity tags on the JSON answers of `/api`: who polls and has the present one is told so in a few bytes."""

import hashlib
from base64 import urlsafe_b64encode

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

REVALIDATED = "private, no-cache"


def tagged(scope: Scope, send: Send) -> Send:
    """`send` for a request, with an ETag on a JSON answer to GET under `/api`, or 304 where the client has it.

    RFC 9110, sections 8.8.3 and 13.1.2. What is streamed passes as it is.
    """
    if scope["method"] != "GET" or not scope["path"].startswith("/api/"):
        return send
    held: Message | None = None

    async def send_tagged(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start" and _is_json(message):
            held = message
            return
        if held is not None:
            start, held = held, None
            if not message.get("more_body"):
                message = _tag(start, message, wanted=Headers(scope=scope).get("if-none-match"))
            await send(start)
        await send(message)

    return send_tagged


def _is_json(start: Message) -> bool:
    media_type = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] == 200 and media_type.partition(";")[0] == "application/json"


def _tag(start: Message, body: Message, *, wanted: str | None) -> Message:
    """Puts the tag on the start, which becomes a 304 where it is wanted; the body to send after it."""
    digest = hashlib.sha256(body.get("body", b"")).digest()[:18]
    tag = f'"{urlsafe_b64encode(digest).decode()}"'
    headers = MutableHeaders(raw=start["headers"])
    headers["etag"] = tag
    headers.setdefault("cache-control", REVALIDATED)
    start["headers"] = headers.raw
    if wanted is None or not matches(wanted, tag):
        return body
    del headers["content-type"], headers["content-length"]
    start["status"], start["headers"] = 304, headers.raw
    return {"type": "http.response.body", "body": b""}


def matches(wanted: str, tag: str) -> bool:
    """Whether an If-None-Match names the tag; weakly, as it compares: a proxy that compresses weakens tags."""
    return wanted.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in wanted.split(",")]
