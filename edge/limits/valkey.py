"""Runs scripts in Valkey that answer numbers, many at a time on one connection.

In the place of redis-py's client, whose pool, locks, streams and time-outs more than double what a call costs.
What an address may say is read by redis-py all the same.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any, cast

from redis.asyncio.connection import SSLConnection, parse_url

_END = b"\r\n"
_ARRAY, _NUMBER, _TEXT, _ERROR = b"*:+-"


class ValkeyError(OSError):
    """Valkey cannot be reached, does not answer in time, or answers with an error; the message says which."""


Answer = Sequence[int] | ValkeyError
"""A script's numbers; nothing for a command that just succeeds."""
Answered = Callable[[Answer], None]


class Script:
    """A script that answers a list of whole numbers."""

    def __init__(self, text: str) -> None:
        self._whole = _command("EVAL", text)
        self._by_name = _command("EVALSHA", sha1(text.encode(), usedforsecurity=False).hexdigest())

    def call(self, keys: Sequence[str], arguments: Sequence[int | str], *, whole: bool = False) -> bytes:
        """The bytes that run it: by its name, which Valkey knows it by once it was there as a whole."""
        start = self._whole if whole else self._by_name
        return b"*%d\r\n" % (3 + len(keys) + len(arguments)) + start + _command(len(keys), *keys, *arguments)


class Valkey:
    """One connection, made when it is needed and again when it was lost. ValueError for an address that is none."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._address = _Address(url)
        self._timeout_s = timeout_s
        self._link: _Link | None = None

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[int | str], answered: Answered) -> None:
        """Call `answered` when the script has run, or cannot. Scripts run in the order in which they were asked for."""

        def looked_at(answer: Answer) -> None:
            if isinstance(answer, ValkeyError) and str(answer).startswith("NOSCRIPT"):
                self._send(script.call(keys, arguments, whole=True), answered)
            else:
                answered(answer)

        self._send(script.call(keys, arguments), looked_at)

    async def ping(self) -> None:
        """Whether it answers: ValkeyError."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._send(b"*1\r\n" + _command("PING"), lambda answer: None if future.done() else future.set_result(answer))
        answer = await future
        if isinstance(answer, ValkeyError):
            raise answer

    async def close(self) -> None:
        """Whoever waits gets a ValkeyError."""
        if self._link is not None:
            self._link.fail(ValkeyError("closed"))
            await self._link.wait_closed()

    def _send(self, command: bytes, answered: Answered) -> None:
        link = self._link
        if link is None or link.is_closed:
            link = self._link = _Link(self._address, self._timeout_s)
        link.send(command, answered)


class _Address:
    """Where Valkey is, and what a new connection begins with."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = dict(parse_url(url))
        self.path: str | None = options.get("path")
        self.host: str = options.get("host", "localhost")
        self.port: int = options.get("port", 6379)
        self.ssl: ssl.SSLContext | None = None
        kind = options.pop("connection_class", None)
        if kind is SSLConnection:
            self.ssl = SSLConnection(**options).ssl_context.get()
        self.greetings: list[bytes] = []
        names = [options[name] for name in ("username", "password") if options.get(name)]
        if names:
            self.greetings.append(b"*%d\r\n" % (1 + len(names)) + _command("AUTH", *names))
        if options.get("db"):
            self.greetings.append(b"*2\r\n" + _command("SELECT", options["db"]))


class _Link(asyncio.Protocol):
    """A connection from its beginning to its end."""

    def __init__(self, address: _Address, timeout_s: float) -> None:
        self.is_closed = False
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        """Until there is a connection."""
        self._waiting: deque[tuple[float, Answered]] = deque()
        """Who is to be answered, in order, and since when it waits."""
        self._rest = b""
        """Of an answer that is not complete."""
        self._timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()
        for greeting in address.greetings:
            self.send(greeting, self._greeted)
        self._connecting = self._loop.create_task(self._connect(address))

    def send(self, command: bytes, answered: Answered) -> None:
        """Send a command; what comes back is told to `answered`."""
        now_s = self._loop.time()
        self._waiting.append((now_s, answered))
        if self._transport is None:
            self._unsent.append(command)
        else:
            self._transport.write(command)
        if self._timer is None:
            self._timer = self._loop.call_at(now_s + self._timeout_s, self._look)

    def fail(self, error: ValkeyError) -> None:
        """End the connection."""
        if self.is_closed:
            return
        self.is_closed = True
        self._connecting.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, answered in waiting:
            answered(error)

    async def wait_closed(self) -> None:
        """Returns when nothing is left of a connection that was ended."""
        await asyncio.wait([self._connecting])
        if self._transport is not None:
            await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited for this."""
        # uvloop's is not derived from it.
        self._transport = cast("asyncio.Transport", transport)
        if self.is_closed:
            self._transport.abort()
            return
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Answer those whose answers are complete."""
        data = self._rest + data if self._rest else data
        at = 0
        try:
            while at < len(data) and (found := _read(data, at)):
                answer, at = found
                self._waiting.popleft()[1](answer)
        except (ValueError, IndexError):
            self.fail(ValkeyError(f"no answer to a script: {data[at : at + 100]!r}"))
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who wait."""
        self._lost.set()
        self.fail(ValkeyError(f"the connection was lost: {exc}" if exc else "the connection was closed"))

    async def _connect(self, address: _Address) -> None:
        try:
            if address.path is None:
                await self._loop.create_connection(lambda: self, address.host, address.port, ssl=address.ssl)
            else:
                await self._loop.create_unix_connection(lambda: self, address.path)
        except OSError as error:
            self.fail(ValkeyError(str(error)))

    def _greeted(self, answer: Answer) -> None:
        # Without its name or in another database it is of no use.
        if isinstance(answer, ValkeyError):
            self.fail(answer)

    def _look(self) -> None:
        """Ends the connection where the first one has waited for too long: all behind it would as well."""
        self._timer = None
        if self._waiting:
            due_s = self._waiting[0][0] + self._timeout_s
            if self._loop.time() >= due_s:
                self.fail(ValkeyError(f"no answer within {self._timeout_s} s"))
            else:
                self._timer = self._loop.call_at(due_s, self._look)


def _command(*parts: int | str) -> bytes:
    """These as parts of a command; in front of them stands how many there are."""
    return b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in [str(part).encode() for part in parts])


def _read(data: bytes, at: int) -> tuple[Answer, int] | None:
    """The answer that begins there, and where the next one does; None where it is not complete. ValueError."""
    end = data.find(_END, at)
    if end < 0:
        return None
    kind, line, after = data[at], data[at + 1 : end], end + 2
    if kind == _ARRAY:
        count = int(line)
        lines = data[after:].split(_END, count)
        if len(lines) <= count:
            return None
        rest = lines.pop()
        if any(each[:1] != b":" for each in lines):
            raise ValueError(lines)
        return [int(each[1:]) for each in lines], len(data) - len(rest)
    if kind == _NUMBER:
        return [int(line)], after
    if kind == _TEXT:
        return [], after
    if kind == _ERROR:
        return ValkeyError(line.decode(errors="replace")), after
    raise ValueError(line)
