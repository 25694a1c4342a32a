"""One inference request from the moment its money is held: what may interrupt it, and its timers."""

import asyncio
import enum
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final, Never, TypeVar

import msgspec

from edge.lookup.catalogue import Model
from edge.money.holds import Hold
from edge.money.records import Record
from edge.upstream.adapters import Target
from edge.v1.answers import Counter
from edge.v1.bounds import Bounds
from edge.v1.reply import Reply

T = TypeVar("T")


class Cause(enum.Enum):
    """Why an exchange ended before its upstream did."""

    CLIENT_GONE = "client gone"
    STOPPING = "we are stopping"
    TIMEOUT = "the upstream was silent for too long"


class Interrupted(Exception):
    """Raised out of `Exchange.wait`."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of an exchange when it begins, and stays so."""

    model: Model
    target: Target
    body: bytes
    bounds: Bounds
    streamed: bool
    shows_usage: bool
    """Whether the client asked for the usage chunk of a stream."""


class Exchange:
    """The state of a running exchange. All waiting for its upstream or its client goes through `wait`."""

    def __init__(self, plan: Plan, *, reply: Reply, hold: Hold, record: Record, started_s: float) -> None:
        self.plan = plan
        self.reply = reply
        self.hold = hold
        self.record = record
        self.counter = Counter()
        self.forwarded = False
        """Whether the request was on its way to an upstream."""
        self.usage: msgspec.Raw | None = None
        """What the upstream last said was used."""
        self.finished: set[int] = set()
        """Answers whose finish reason has come."""
        self.started_s = started_s
        self.quiet_since_s = started_s
        """When something last arrived from the upstream."""
        self.beaten_s = started_s
        """When the client last got something."""
        self.first_token_s: float | None = None
        self.cause: Cause | None = None
        self.is_waiting = False
        """Whether it waits for its upstream, and not for its client."""
        self._waiting: asyncio.Task[object] | None = None

    def interrupt(self, cause: Cause) -> None:
        """Ends the wait for the upstream or the client, now or when it next begins. Only the first cause counts."""
        if self.cause is None:
            self.cause = cause
            if self._waiting is not None:
                self._waiting.cancel()

    async def wait(self, talk: Coroutine[object, Never, T], *, for_client: bool = False) -> T:
        """The result of `talk`, or Interrupted; a cancellation from outside passes through."""
        cause = self.cause
        if cause is not None:
            talk.close()
            raise Interrupted(cause)
        task = asyncio.current_task()
        self._waiting = task
        self.is_waiting = not for_client
        try:
            return await talk
        except asyncio.CancelledError:
            # Where both happened, the cancellation from outside wins.
            cause = self._cause_now()
            if cause is None or task is None or task.uncancel() > 0:
                raise
            raise Interrupted(cause) from None
        finally:
            self._waiting = None
            self.is_waiting = False

    def _cause_now(self) -> Cause | None:
        return self.cause

    @property
    def is_finished(self) -> bool:
        """Whether every answer has said why it ended; only the usage may still come."""
        return len(self.finished) >= self.plan.bounds.choices

    def note_forwarded(self) -> None:
        """Notes that the request is on its way to the upstream: whoever leaves from now on pays for the prompt."""
        self.forwarded = True

    def heard(self, now_s: float) -> None:
        """Notes that the upstream said something."""
        self.quiet_since_s = self.beaten_s = now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an exchange waits, in seconds."""

    first_byte_s: float = 300.0
    idle_s: float = 120.0
    total_s: float = 3600.0
    keep_alive_s: float = 15.0
    usage_s: float = 1.0
    tick_s: float = 1.0


class Running:
    """All exchanges of this process: one timer looks after them, and the drain waits for them."""

    def __init__(self, patience: Patience) -> None:
        self.patience: Final = patience
        self._exchanges: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Looks after an exchange from now on."""
        self._exchanges.add(exchange)
        self._empty.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.patience.tick_s, self._tick)

    def discard(self, exchange: Exchange) -> None:
        """The exchange has ended."""
        self._exchanges.discard(exchange)
        if not self._exchanges:
            self._empty.set()

    async def drain(self, limit_s: float) -> None:
        """Waits for all to end, and ends those that have not after `limit_s`; returns when all have."""
        try:
            await asyncio.wait_for(self._empty.wait(), limit_s)
        except TimeoutError:
            for exchange in tuple(self._exchanges):
                exchange.interrupt(Cause.STOPPING)
            await self._empty.wait()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.patience.tick_s, self._tick) if self._exchanges else None
        now = loop.time()
        for exchange in self._exchanges:
            self._look_after(exchange, now)

    def _look_after(self, exchange: Exchange, now_s: float) -> None:
        patience = self.patience
        silent_s = now_s - exchange.quiet_since_s
        before_first = exchange.quiet_since_s == exchange.started_s
        limit_s = patience.first_byte_s if before_first else patience.idle_s
        if (exchange.is_waiting and silent_s > limit_s) or now_s - exchange.started_s > patience.total_s:
            exchange.interrupt(Cause.TIMEOUT)
        elif exchange.plan.streamed and now_s - exchange.beaten_s >= patience.keep_alive_s:
            exchange.beaten_s = now_s
            exchange.reply.keep_alive()
