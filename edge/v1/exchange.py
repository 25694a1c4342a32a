"""One inference request from the moment its money is held: what may interrupt it, and its timers."""

import asyncio
import enum
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Never, TypeVar

import msgspec
from msgspec.structs import replace

from edge.dialects.translator import Translator
from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Route
from edge.money.holds import Hold
from edge.money.records import Record
from edge.upstream.adapters import Target
from edge.upstream.candidates import Candidate
from edge.v1.answers import Counter
from edge.v1.bounds import Bounds
from edge.v1.reply import Reply
from edge.v1.tickets import Ticket

T = TypeVar("T")


class Cause(enum.Enum):
    """Why an exchange ended before its upstream did."""

    CLIENT_GONE = "client gone"
    STOPPING = "we are stopping"
    TIMEOUT = "the upstream was silent for too long"


class Awaited(enum.Enum):
    """What of an answer is awaited, each for so long as its route says."""

    HEAD = "the status and the headers"
    PIECE = "the next piece, before the client was given anything"


class Interrupted(Exception):
    """Raised out of `Exchange.wait`."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class Outgoing(msgspec.Struct, frozen=True):
    """A request as one candidate gets it."""

    candidate: Candidate
    target: Target
    body: bytes
    bounds: Bounds
    """Of the candidate's model, at the limit that its money pays for."""
    translator: Translator

    @property
    def model(self) -> Model:
        """The model that answers, and whose price counts."""
        return self.candidate.model


class Plan(msgspec.Struct, frozen=True):
    """What is known of an exchange when it begins."""

    candidates: tuple[Candidate, ...]
    """Who may answer, in order."""
    failure: Callable[[EdgeError], bytes]
    """An error in the stream before anybody was asked."""
    prepare: Callable[[Candidate], Outgoing]
    """Makes the request for one of them."""
    streamed: bool
    sticky_key: str
    """What it has in common with the requests that should meet the same upstream. Empty: nothing."""


def _ask_nobody(candidate: Candidate) -> Never:
    raise RuntimeError(f"{candidate.upstream.name} was to be asked after the answer had begun")


class Exchange:
    """The state of a running exchange. All waiting for its upstream or its client goes through `wait`."""

    def __init__(
        self, plan: Plan, *, reply: Reply, hold: Hold, record: Record, ticket: Ticket, started_s: float
    ) -> None:
        self.plan = plan
        self.ticket = ticket
        self.reply = reply
        self.hold = hold
        self.record = record
        self.outgoing: Outgoing | None = None
        """The present try. None: no candidate was chosen yet."""
        self.counter = Counter()
        self.forwarded = False
        """Whether the request is on its way to an upstream that has not failed."""
        self.usage: msgspec.Raw | None = None
        """What the upstream last said was used."""
        self.finished: set[int] = set()
        """Answers whose finish reason has come."""
        self.told = False
        """Whether something of an answer stands in what the client gets."""
        self.now_s: Final = asyncio.get_running_loop().time
        self.started_s = started_s
        self.heard_from = False
        """Whether the upstream has begun to answer."""
        self.quiet_since_s = started_s
        """When something last arrived from the upstream."""
        self.beaten_s = started_s
        """When the client last got something."""
        self.first_token_s: float | None = None
        self.cause: Cause | None = None
        self.is_waiting = self.is_giving = False
        """Whether it waits for its upstream or its client, and whether for its client."""
        self.awaited: tuple[Awaited, float] | None = None
        """What the present try waits for, and since when: a silence ends that try, and not the exchange."""
        self._timed_out = False
        self._task = asyncio.current_task()
        """That of the request: nobody else waits for its upstream or its client."""
        self._waiting: asyncio.Task[object] | None = None

    def interrupt(self, cause: Cause) -> None:
        """Ends the wait for the upstream or the client, now or when it next begins. Only the first cause counts."""
        if self.cause is None:
            self.cause = cause
            if self._waiting is not None and not self._timed_out:
                self._waiting.cancel()

    def time_out(self) -> None:
        """Ends the wait for what is `awaited` with TimeoutError."""
        if self._waiting is not None and self.awaited is not None and self.cause is None and not self._timed_out:
            self._timed_out = True
            self._waiting.cancel()

    async def wait(self, talk: Coroutine[object, Never, T], *, awaited: Awaited | None = None) -> T:
        """The result of `talk`, or Interrupted, or TimeoutError where something is `awaited` for too long.

        A cancellation from outside passes through.
        """
        cause = self.cause
        if cause is not None:
            talk.close()
            raise Interrupted(cause)
        task = self._waiting = self._task
        self.is_waiting = True
        if awaited is not None:
            self.awaited = awaited, self.now_s()
        try:
            return await talk
        except asyncio.CancelledError:
            # Where both happened, the cancellation from outside wins.
            cause = self._cause_now()
            if (cause is None and not self._timed_out) or task is None or task.uncancel() > 0:
                raise
            raise (TimeoutError if cause is None else Interrupted(cause)) from None
        finally:
            self._waiting = self.awaited = None
            self.is_waiting = self._timed_out = False

    def _cause_now(self) -> Cause | None:
        return self.cause

    @property
    def is_finished(self) -> bool:
        """Whether every answer has said why it ended; only the usage may still come."""
        return self.outgoing is not None and len(self.finished) >= self.outgoing.bounds.choices

    def begin(self, outgoing: Outgoing) -> None:
        """Notes who is asked now, and at whose price."""
        self.outgoing = outgoing
        record, candidate = self.record, outgoing.candidate
        record.upstream_name, record.upstream_model = candidate.upstream.name, candidate.route.upstream_model
        served = candidate.model.public_name
        if served != (record.served_model_public_name or record.model_public_name):
            # A fall-back's turn, or the asked model's again after one.
            record.served_model_public_name = "" if served == record.model_public_name else served
            record.take_price(candidate.model.price)
            self.reply.name_model(record.served_model_public_name)

    def forget_request(self, outgoing: Outgoing) -> Outgoing:
        """Lets go of the request, which may be large: the answer has begun, so that nobody else will be asked."""
        self.plan = replace(self.plan, candidates=(), prepare=_ask_nobody)
        self.outgoing = replace(outgoing, body=b"")
        return self.outgoing

    def note_forwarded(self) -> None:
        """Notes that the request is on its way to the upstream: whoever leaves from now on pays for the prompt."""
        self.forwarded = True

    def note_failed(self) -> None:
        """Notes that the present try came to nothing: whoever leaves before the next one is on its way pays nothing.

        Nor does anything count that the upstream said before it failed.
        """
        self.forwarded = self.heard_from = False
        self.usage, self.counter, self.finished = None, Counter(), set()
        self.record.finish_reason, self.first_token_s = "", None

    def heard(self, now_s: float) -> None:
        """Notes that the upstream said something."""
        self.heard_from = True
        self.quiet_since_s = now_s
        if self.reply.started:
            self.beaten_s = now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How an exchange is looked after, in seconds; how long it may take stands on its route."""

    keep_alive_s: float = 15.0
    usage_s: float = 1.0
    tick_s: float = 1.0


class Running:
    """All exchanges of this process: one timer looks after them, and the drain waits for them.

    `first_byte_s` says how long a route may take for the head of its answer, at a time of the loop's clock.
    """

    def __init__(
        self,
        patience: Patience,
        first_byte_s: Callable[[Route, float], float] = lambda route, _: route.first_byte_timeout_s,
    ) -> None:
        self.patience: Final = patience
        self._first_byte_s = first_byte_s
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
        if _is_over(exchange, now_s):
            exchange.interrupt(Cause.TIMEOUT)
            return
        if exchange.awaited is not None and exchange.outgoing is not None:
            (what, since_s), route = exchange.awaited, exchange.outgoing.candidate.route
            # A model may have to be loaded before the head comes.
            most_s = self._first_byte_s(route, now_s) if what is Awaited.HEAD else route.idle_timeout_s
            if now_s - since_s > most_s:
                exchange.time_out()
        if exchange.plan.streamed and now_s - exchange.beaten_s >= self.patience.keep_alive_s:
            exchange.beaten_s = now_s
            exchange.reply.keep_alive()


def _is_over(exchange: Exchange, now_s: float) -> bool:
    """Whether it has taken too long; until the head of the answer, each try has a limit of its own."""
    if exchange.outgoing is None:
        return False
    route = exchange.outgoing.candidate.route
    silent_s = now_s - exchange.quiet_since_s
    hears = exchange.heard_from and exchange.is_waiting and not exchange.is_giving
    return (hears and silent_s > route.idle_timeout_s) or now_s - exchange.started_s > route.total_timeout_s
