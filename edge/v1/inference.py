"""The hot path: admits an inference request, holds its money, has it answered, and notes what it cost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from edge.errors import EdgeError, internal_error
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Plan as AccountPlan
from edge.money.holds import Hold
from edge.money.path import MoneyPath
from edge.money.records import Record, Status
from edge.upstream.adapters import usable
from edge.upstream.candidates import Candidate
from edge.v1.billing import Ending, note_ending, note_progress
from edge.v1.callers import Callers, find_model
from edge.v1.conversation import converse
from edge.v1.endpoints import Endpoint, Question
from edge.v1.exchange import Cause, Exchange, Interrupted, Plan, Running
from edge.v1.forwarding import Forwarding
from edge.v1.headers import Headers
from edge.v1.idempotency import Replay, read_key
from edge.v1.max_cost import read_max_cost
from edge.v1.metrics import REFUSED, count_ended
from edge.v1.offers import Offers, offers
from edge.v1.reaching import Upstreams
from edge.v1.reply import Reply
from edge.v1.requests import ClientGone, read_body
from edge.v1.sticky import sticky_key
from edge.v1.tickets import Ticket, Tickets
from edge.v1.usage import Usage
from kit import tracing
from kit.logs import get_logger
from kit.logs import request_id as current_request
from kit.money import format_usd

LAST_WORDS_S: Final = 1.0
"""How long the last piece waits for a client when its exchange was interrupted."""
WATCH_AFTER_S: Final = 0.1
"""When it is first looked whether a client is still there."""

Identify = Callable[[Headers], Awaitable[Caller]]
"""Finds out whom a request with these headers runs as. EdgeError where it may not."""

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the hot path is made of; ids, time and randomness come in from outside."""

    callers: Callers
    tickets: Tickets
    money: MoneyPath
    upstreams: Upstreams
    running: Running
    new_id: Callable[[], str]
    now_ns: Callable[[], int]
    is_overloaded: Callable[[], bool]
    """Whether new requests are refused, so that running ones go on."""
    max_body_bytes: int = 32 * 1024 * 1024


class _Asked(msgspec.Struct, frozen=True):
    """A request that may be forwarded, but for its money."""

    caller: Caller
    plan: AccountPlan
    body: bytes
    question: Question
    candidates: tuple[Candidate, ...]
    offers: Offers
    idempotency_key: str | None


class Inference:
    """The raw ASGI application behind the inference endpoints."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts

    async def __call__(
        self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send, *, identify: Identify | None = None
    ) -> None:
        """Answers one request. `identify` says who calls; None: the API key in the headers."""
        request_id = self._parts.new_id()
        current_request.set(request_id)
        reply = Reply(send, request_id=request_id, error_body=endpoint.error_body)
        started_s = asyncio.get_running_loop().time()
        try:
            if self._parts.is_overloaded():
                raise _overloaded()
            admitted = await self._admit(
                endpoint,
                # Not kept here: it may be large, and is over long before its answer.
                await self._read(endpoint, scope, receive, identify or self._parts.callers.identify),
                reply,
                request_id=request_id,
                started_s=started_s,
            )
        except ClientGone:
            return
        except EdgeError as error:
            REFUSED.labels(error.code).inc()
            await reply.fail(error, last=endpoint.failure)
            return
        except Exception:
            log.exception("inference_failed", request_id=request_id)
            REFUSED.labels("internal_error").inc()
            await reply.fail(internal_error(), last=endpoint.failure)
            return
        if isinstance(admitted, Replay):
            reply.headers.update(admitted.headers)
            await reply.whole(200, admitted.body)
        else:
            await self._run(admitted, receive)

    async def _read(self, endpoint: Endpoint, scope: Scope, receive: Receive, identify: Identify) -> _Asked:
        parts, headers = self._parts, scope["headers"]
        caller = await identify(headers)
        body = await read_body(headers, receive, most=parts.max_body_bytes)
        question = endpoint.read(body)
        plan, snapshot = await parts.callers.plan_of(caller)
        model = find_model(question.inputs.model, caller=caller, plan=plan, snapshot=snapshot)
        if model.kind != endpoint.kind:
            raise EdgeError("invalid_body", f"{model.public_name!r} is no model for /v1{endpoint.path}.", param="model")
        able = usable(endpoint.able(question, parts.upstreams.fleet.candidates(model, snapshot)), caller)
        offered = offers(question, model, able)
        most_nanos = read_max_cost(headers)
        if most_nanos is not None:
            offered = offered.within(most_nanos)
        return _Asked(caller, plan, body, question, able, offered, read_key(headers))

    async def _admit(
        self, endpoint: Endpoint, asked: _Asked, reply: Reply, *, request_id: str, started_s: float
    ) -> Exchange | Replay:
        """Takes its place in the limits, holds the money, journals the open record; else what an earlier call got."""
        parts, bounds = self._parts, asked.offers.asked
        if asked.idempotency_key is None:
            # Whoever was refused a moment ago, and has no answer to get again, need not be counted for that.
            parts.money.check(
                account_id=asked.caller.account_id,
                api_key_id=asked.caller.api_key_id,
                monthly_limit_nanos=asked.caller.monthly_limit_nanos,
                needs=asked.offers,
            )
        ticket = await parts.tickets.admit(
            asked.caller,
            asked.plan,
            request_id=request_id,
            tokens=bounds.prompt_estimate + bounds.output_tokens,
            shown=reply.headers,
        )
        begun = False
        try:
            parts.callers.note_use(asked.caller)
            if asked.idempotency_key is not None:
                replay = await parts.tickets.claim(ticket, asked.idempotency_key, path=endpoint.path, body=asked.body)
                if replay is not None:
                    return replay
            hold = await self._hold(asked)
            exchange = self._begin(endpoint, asked, reply, hold=hold, ticket=ticket, started_s=started_s)
            begun = True
            return exchange
        finally:
            if not begun:
                await parts.tickets.give_up(ticket)

    def _begin(
        self, endpoint: Endpoint, asked: _Asked, reply: Reply, *, hold: Hold, ticket: Ticket, started_s: float
    ) -> Exchange:
        try:
            streamed = endpoint.streams and bool(asked.question.inputs.stream)
            record = self._record(endpoint, asked, ticket.request_id, streamed=streamed)
            forwarding = Forwarding(
                endpoint=endpoint,
                question=asked.question,
                caller=asked.caller,
                request_id=ticket.request_id,
                bounds=asked.offers.bounds,
                held_nanos=hold.nanos,
                created_s=record.start_time_ns // 1_000_000_000,
                streamed=streamed,
            )
            model = asked.offers.models[0]
            limit = forwarding.limit(model)
            if limit < asked.offers.wanted_tokens:
                reply.headers["x-privaterouter-max-tokens"] = str(limit)
            plan = Plan(
                candidates=asked.candidates,
                prepare=forwarding.prepare,
                failure=endpoint.failure,
                streamed=streamed,
                sticky_key=sticky_key(model.sticky, asked.question.envelope),
            )
            exchange = Exchange(plan, reply=reply, hold=hold, record=record, ticket=ticket, started_s=started_s)
            self._parts.money.open(hold, record, partial(note_progress, exchange))
        except BaseException:
            self._parts.money.release(hold)
            raise
        return exchange

    async def _hold(self, asked: _Asked) -> Hold:
        money, caller = self._parts.money, asked.caller
        full = asked.offers.full_nanos
        hold = money.try_hold(account_id=caller.account_id, api_key_id=caller.api_key_id, full_nanos=full)
        if hold is not None:
            return hold
        return await money.hold(
            account_id=caller.account_id,
            api_key_id=caller.api_key_id,
            monthly_limit_nanos=caller.monthly_limit_nanos,
            full_nanos=full,
            least_nanos=asked.offers.least_nanos,
        )

    def _record(self, endpoint: Endpoint, asked: _Asked, request_id: str, *, streamed: bool) -> Record:
        model = asked.offers.models[0]
        record = Record(
            request_id=request_id,
            account_id=asked.caller.account_id,
            api_key_id=asked.caller.api_key_id,
            start_time_ns=self._parts.now_ns(),
            model_public_name=model.public_name,
            endpoint=endpoint.name,
            streamed=streamed,
        )
        record.take_price(model.price)
        return record

    async def _run(self, exchange: Exchange, receive: Receive) -> None:
        """Has it answered; whatever happens, the record is final and the money settled before the last byte."""
        parts, running = self._parts, self._parts.running
        running.add(exchange)
        watch = _Watch(receive, exchange)
        try:
            ending = await converse(exchange, parts.upstreams, usage_wait_s=running.patience.usage_s)
            await _deliver(exchange, ending, await self._settle(exchange, ending))
        except asyncio.CancelledError:
            await self._settle(exchange, Ending(Status.ERROR, error=internal_error()))
            raise
        except Exception:
            log.exception("inference_failed", request_id=exchange.record.request_id)
            ending = Ending(Status.ERROR, error=internal_error())
            await _deliver(exchange, ending, await self._settle(exchange, ending))
        finally:
            watch.end()
            running.discard(exchange)
            parts.tickets.drop(exchange.ticket)

    async def _settle(self, exchange: Exchange, ending: Ending) -> Usage:
        """What was used; where it is settled already, nothing."""
        if exchange.record.status is not Status.OPEN:
            return Usage(0, 0)
        used = note_ending(exchange, ending, now_s=asyncio.get_running_loop().time())
        await self._parts.money.finish(exchange.hold, exchange.record)
        answer = b"" if exchange.plan.streamed else ending.last
        await self._parts.tickets.end(exchange.ticket, exchange.record, answer=answer)
        count_ended(exchange.record)
        if tracing.active is not None:
            tracing.active.note(_told(exchange.record))
        if ending.error is not None:
            log.warning(
                "inference_error",
                request_id=exchange.record.request_id,
                code=ending.error.kept_code,
                upstream=exchange.record.upstream_name,
                cause=str(ending.error.__cause__ or ending.error.__context__ or ""),
            )
        return used


def _overloaded() -> EdgeError:
    return EdgeError(
        "service_unavailable",
        "This server has more requests than it can serve. Nothing was charged. Try again in a moment.",
        headers={"retry-after": "1"},
    )


def _told(record: Record) -> dict[str, str | int]:
    """What a span says of an inference request."""
    return {
        "gen_ai.operation.name": record.endpoint,
        "gen_ai.request.model": record.model_public_name,
        "gen_ai.response.model": record.served_model_public_name or record.model_public_name,
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "privaterouter.status": record.status.name.lower(),
        "privaterouter.error_code": record.error_code,
        "privaterouter.cost_nanos": record.cost_nanos,
    }


async def _deliver(exchange: Exchange, ending: Ending, used: Usage) -> None:
    """Sends what is still to be sent. Who does not take it cannot keep us from ending: the record is final."""
    try:
        if exchange.cause is None:
            exchange.is_giving = True
            await exchange.wait(_send_last(exchange, ending, used))
        elif ending.status is not Status.CANCELLED:
            async with asyncio.timeout(LAST_WORDS_S):
                await _send_last(exchange, ending, used)
    except (Interrupted, TimeoutError):
        return


async def _send_last(exchange: Exchange, ending: Ending, used: Usage) -> None:
    reply = exchange.reply
    translator = exchange.outgoing.translator if exchange.outgoing else None
    if ending.error is not None or translator is None:
        error = ending.error or internal_error()
        await reply.fail(error, last=translator.failure if translator else exchange.plan.failure)
    elif exchange.plan.streamed:
        await reply.end(ending.last + translator.end(used))
    else:
        reply.headers["x-privaterouter-cost-usd"] = format_usd(exchange.record.cost_nanos)
        await reply.whole(200, ending.last)


class _Watch:
    """Interrupts an exchange when its client leaves. Most answers that are short are over before it begins to look."""

    __slots__ = ("_exchange", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, exchange: Exchange) -> None:
        self._receive = receive
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def end(self) -> None:
        """The exchange has ended."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._exchange.interrupt(Cause.CLIENT_GONE)
