"""The client's side of one inference request: headers, body or events, errors in the right place, keep-alives."""

import asyncio
from collections.abc import Callable

from starlette.types import Message, Send

from edge.errors import EdgeError
from edge.v1.sse import KEEP_ALIVE

Failure = Callable[[EdgeError], bytes]
"""How an error is told."""


class Reply:
    """Writes one answer by ASGI. `headers` go out with it, whatever it turns out to be.

    After `start_stream` the status is sent: an error is then the last piece of the stream.
    """

    def __init__(self, send: Send, *, request_id: str, error_body: Failure = EdgeError.body) -> None:
        """`error_body` makes the body of an error that comes in the place of an answer."""
        self._send = send
        self._error_body = error_body
        self.headers: dict[str, str] = {"x-request-id": request_id}
        self.started = False
        self._beat: asyncio.Task[None] | None = None

    def name_model(self, served: str) -> None:
        """Names the model that answers in the place of the one asked for; empty: it is that one.

        Only until the head is sent: after that the chunks of a stream name it, and the usage record.
        """
        if served:
            self.headers["x-privaterouter-model"] = served
        else:
            self.headers.pop("x-privaterouter-model", None)

    async def whole(self, status: int, body: bytes, *, content_type: str = "application/json") -> None:
        """The complete answer."""
        self.started = True
        await self._send(self._head(status, content_type, length=len(body)))
        await self._send({"type": "http.response.body", "body": body})

    async def start_stream(self) -> None:
        """The head of an event stream; nothing where it is sent already."""
        await self._quiet()
        await self._start()

    async def write(self, piece: bytes) -> None:
        """A piece of the event stream. Waits while the client is slower than its upstream."""
        if self._beat is not None:
            await self._quiet()
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, piece: bytes = b"") -> None:
        """The last piece of the event stream."""
        await self._quiet()
        await self._send({"type": "http.response.body", "body": piece})

    async def fail(self, error: EdgeError, *, last: Failure) -> None:
        """The error as the answer or, within a stream, as its last piece, which `last` makes."""
        await self._quiet()
        if self.started:
            await self.end(last(error))
            return
        self.name_model("")
        self.headers.update(error.headers)
        await self.whole(error.status, self._error_body(error))

    def keep_alive(self) -> None:
        """Sends a comment, and the head before it, without waiting: called by a timer while nothing arrives."""
        if self._beat is None or self._beat.done():
            self._beat = asyncio.get_running_loop().create_task(self._send_keep_alive())

    async def _send_keep_alive(self) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})

    async def _quiet(self) -> None:
        """Waits for a keep-alive that is on its way: pieces never overtake each other."""
        if self._beat is not None:
            beat, self._beat = self._beat, None
            await beat

    async def _start(self) -> None:
        if not self.started:
            self.started = True
            self.headers["cache-control"] = "no-cache"
            self.headers["x-accel-buffering"] = "no"
            await self._send(self._head(200, "text/event-stream; charset=utf-8"))

    def _head(self, status: int, content_type: str, *, length: int | None = None) -> Message:
        headers = [(b"content-type", content_type.encode("latin-1"))]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        headers += [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in self.headers.items()
        ]
        return {"type": "http.response.start", "status": status, "headers": headers}
