"""One connection to an upstream: a request goes out in one piece, and its answer is read as HTTP/1.1 has it.

At most one request is on it at a time. What comes unasked closes it, so that no answer can be taken for that of the
next request. All that is kept of an answer is bounded: its head, and as much of its body as arrives in one read after
READ_BUFFER_BYTES are waiting.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from edge.upstream.client import READ_BUFFER_BYTES, Broken

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a head; and of what else comes without any of the body: interim answers, trailers, extensions of chunks."""
_COPIED_BYTES: Final = 32 * 1024
"""Up to this size a copy costs less than the loop's way with two buffers."""
_NO_BODY: Final = frozenset({204, 304})


class Connection(asyncio.Protocol):
    """An open connection. `lost` is called once when it is open no more."""

    __slots__ = (
        "_ends_with_connection",
        "_error",
        "_has_head",
        "_is_complete",
        "_is_paused",
        "_loop",
        "_lost",
        "_may_stay",
        "_mute_bytes",
        "_news",
        "_parser",
        "_pieces",
        "_poll",
        "_transport",
        "_waiting_bytes",
        "headers",
        "heard",
        "idle_since_s",
        "is_open",
        "status",
    )

    _transport: asyncio.Transport
    _parser: HttpResponseParser

    def __init__(self, lost: Callable[["Connection"], None], loop: asyncio.AbstractEventLoop) -> None:
        self._lost = lost
        self._loop = loop
        self._poll = select.poll()
        self.is_open = False
        self._is_paused = False
        self._news: asyncio.Future[None] | None = None
        """Done when something has come for whoever waits for it."""
        self.heard: Callable[[], None] | None = None
        """Called when something has come, be it the end."""
        self.idle_since_s = 0.0

        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """By name in lower case; what is given several times is joined, as RFC 9110, 5.2, has it."""
        self._pieces: list[bytes] = []
        """Of the body, what nobody has read yet."""
        self._waiting_bytes = 0
        self._mute_bytes = 0
        """What has come since the last of the body."""
        self._has_head = False
        self._ends_with_connection = False
        """Whether the body has no other end."""
        self._is_complete = True
        """Whether the answer is; it is so too while nothing was asked."""
        self._may_stay = True
        """Whether the connection can serve another request after this one."""
        self._error = ""

    @property
    def is_free(self) -> bool:
        """Whether it can take the next request: all of the last one has gone out, and all of its answer was read."""
        return (
            self.is_open
            and self._is_complete
            and self._may_stay
            and not self._pieces
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0
        )

    @property
    def is_ending(self) -> bool:
        """Whether nothing of the answer is missing but its end, as far as can be known."""
        return self.is_open and not self._is_complete and not self._pieces

    @property
    def is_good(self) -> bool:
        """Whether it is open, as far as the loop has seen."""
        return self.is_open and not self._transport.is_closing()

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come that the loop has yet to see, such as its end; it asks the system."""
        return not self._poll.poll(0)

    async def ask(self, head: bytes, body: bytes) -> None:
        """Sends a request, and waits for the head of its answer. Broken; the caller aborts what came to nothing."""
        self._has_head = self._is_complete = False
        self._mute_bytes = 0
        if len(body) < _COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        while not self._has_head:
            if self._error:
                raise Broken(self._error)
            await self._hear()

    async def read(self) -> bytes:
        """The next piece of the body, empty at its end. Broken, once all that had come before was read."""
        pieces = self._pieces
        while not pieces:
            if self._error:
                raise Broken(self._error)
            if self._is_complete:
                return b""
            await self._hear()
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        if self._is_paused:
            self._is_paused = False
            if self.is_open and not self._transport.is_closing():
                self._transport.resume_reading()
        return piece

    def abort(self) -> None:
        """Closes it at once, whatever was still to be sent."""
        if self.is_open:
            self._transport.abort()

    async def _hear(self) -> None:
        self._news = news = self._loop.create_future()
        try:
            await news
        finally:
            self._news = None

    def _end(self, error: str) -> None:
        """The connection can't go on."""
        self._may_stay = False
        if not self._is_complete:
            self._is_complete = True
            self._error = error
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
        if self.heard is not None:
            self.heard()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._parser = HttpResponseParser(self)
        # As sloppy as old servers are, without leaving a doubt where an answer ends.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if self._is_complete:
            self._may_stay = False
            self._transport.abort()
            return
        self._mute_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            # Not the text of it, which quotes what came.
            self._end(type(error).__name__)
            return
        if self._mute_bytes > MAX_HEAD_BYTES:
            self._end("more than a head may have")
        news = self._news
        if news is not None and not news.done():
            news.set_result(None)
        elif self._waiting_bytes > READ_BUFFER_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        if self.heard is not None:
            self.heard()

    def eof_received(self) -> None:
        """The upstream will say no more; the loop closes the connection then."""
        self._end("" if self._ends_with_connection and self._has_head else "the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self.is_open = False
        self._end(f"{type(exc).__name__}: {exc}" if isinstance(exc, OSError) else "the connection was closed")
        del self._parser  # It refers to this object, which would stay until a collection of garbage.
        self._lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """An answer begins; or, after a complete one, another that nobody asked for."""
        if self._is_complete:
            self._may_stay = False
        else:
            self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or of the trailers, which nobody reads."""
        if self._has_head:
            return
        name = name.lower()
        known = self.headers.get(name)
        self.headers[name] = value if known is None else b"%b, %b" % (known, value)

    def on_headers_complete(self) -> None:
        """The head has come, of the answer or of an interim one."""
        if self._is_complete:
            return
        headers, parser = self.headers, self._parser
        self.status = status = parser.get_status_code()
        coding = headers.get(b"transfer-encoding")
        if status < 100 or (coding is not None and coding.lower() != b"chunked"):
            self._end("an unknown status or transfer coding")
            return
        if status < 200:
            return
        self._may_stay = parser.should_keep_alive() and (coding is None or parser.get_http_version() == "1.1")
        self._ends_with_connection = coding is None and b"content-length" not in headers and status not in _NO_BODY
        self._has_head = True
        self._mute_bytes = 0

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._is_complete:
            return
        self._pieces.append(data)
        self._waiting_bytes += len(data)
        self._mute_bytes = 0

    def on_message_complete(self) -> None:
        """The answer is complete; an interim one is none."""
        if self._has_head:
            self._is_complete = True
