"""The hot path: admits an inference request, holds its money, has it answered, and notes what it cost."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from starlette.types import Receive, Scope, Send

from edge.errors import EdgeError, internal_error
from edge.limits.rates import Rates
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Model, Snapshot
from edge.money.holds import Hold
from edge.money.path import MoneyPath
from edge.money.records import Record, Status
from edge.upstream.adapters import Target, target
from edge.upstream.client import Client
from edge.v1.billing import Ending, note_ending
from edge.v1.bounds import Bounds
from edge.v1.callers import Callers, find_model
from edge.v1.conversation import converse
from edge.v1.denied import refuse_denied
from edge.v1.endpoints import Endpoint
from edge.v1.envelope import Envelope, read_request, splice
from edge.v1.exchange import Cause, Exchange, Interrupted, Plan, Running
from edge.v1.inputs import Inputs
from edge.v1.limiting import show_rate, too_many
from edge.v1.metrics import REFUSED, count_ended
from edge.v1.reply import Reply
from edge.v1.requests import ClientGone, read_body
from edge.v1.routing import choose_route
from kit.logs import get_logger
from kit.money import format_usd

LAST_WORDS_S: Final = 1.0
"""How long the last piece waits for a client when its exchange was interrupted."""

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the hot path is made of; ids, time and randomness come in from outside."""

    callers: Callers
    rates: Rates
    money: MoneyPath
    client: Client
    running: Running
    new_id: Callable[[], UUID]
    now_ns: Callable[[], int]
    random: Callable[[], float]
    max_body_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that may be forwarded, but for its money."""

    caller: Caller
    envelope: Envelope
    inputs: Inputs
    model: Model
    bounds: Bounds
    target: Target


class Inference:
    """The raw ASGI application behind the inference endpoints."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts

    async def __call__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id = str(self._parts.new_id())
        reply = Reply(send, request_id=request_id)
        started_s = asyncio.get_running_loop().time()
        try:
            asked = await self._admit(endpoint, scope, receive, reply, request_id)
            exchange = await self._begin(endpoint, asked, reply, request_id, started_s)
        except ClientGone:
            return
        except EdgeError as error:
            REFUSED.labels(error.code).inc()
            await reply.fail(error)
            return
        except Exception:
            log.exception("inference_failed", request_id=request_id)
            await reply.fail(internal_error())
            return
        await self._run(exchange, receive)

    async def _admit(self, endpoint: Endpoint, scope: Scope, receive: Receive, reply: Reply, request_id: str) -> _Asked:
        parts = self._parts
        caller = await parts.callers.identify(scope["headers"])
        body = await read_body(scope["headers"], receive, most=parts.max_body_bytes)
        envelope = read_request(body)
        refuse_denied(envelope.raw)
        inputs, bound = endpoint.read(body)
        plan, snapshot = await parts.callers.plan_of(caller)
        model = find_model(inputs.model, caller=caller, plan=plan, snapshot=snapshot)
        if model.kind != endpoint.kind:
            raise EdgeError("invalid_body", f"{model.public_name!r} is no model for /v1{endpoint.path}.", param="model")
        bounds = bound(model)
        rate = await parts.rates.check(caller.account_id, plan.rpm, caller.api_key_id, caller.rpm_limit)
        show_rate(reply.headers, rate)
        if not rate.allowed:
            raise too_many(rate)
        route = self._target(endpoint, model, snapshot, caller, request_id)
        parts.callers.note_use(caller)
        return _Asked(caller, envelope, inputs, model, bounds, route)

    def _target(self, endpoint: Endpoint, model: Model, snapshot: Snapshot, caller: Caller, request_id: str) -> Target:
        upstream, route = choose_route(model, snapshot, self._parts.random)
        return target(upstream, route, endpoint.path, caller=caller, request_id=request_id)

    async def _begin(
        self, endpoint: Endpoint, asked: _Asked, reply: Reply, request_id: str, started_s: float
    ) -> Exchange:
        """Holds the money and journals the open record."""
        hold = await self._hold(asked)
        try:
            limit = asked.bounds.affordable_limit(asked.model, hold.nanos)
            if limit < asked.bounds.limit_tokens:
                reply.headers["x-privaterouter-max-tokens"] = str(limit)
            streamed = endpoint.streams and bool(asked.inputs.stream)
            options = asked.inputs.stream_options
            plan = Plan(
                model=asked.model,
                target=asked.target,
                body=splice(asked.envelope, _changes(asked, limit, streamed=streamed)),
                bounds=asked.bounds,
                streamed=streamed,
                shows_usage=bool(options and options.include_usage),
            )
            record = self._record(endpoint, asked, request_id, streamed=streamed)
            self._parts.money.open(hold, record)
        except BaseException:
            self._parts.money.release(hold)
            raise
        return Exchange(plan, reply=reply, hold=hold, record=record, started_s=started_s)

    async def _hold(self, asked: _Asked) -> Hold:
        money, caller = self._parts.money, asked.caller
        full = asked.bounds.full_nanos(asked.model)
        hold = money.try_hold(account_id=caller.account_id, api_key_id=caller.api_key_id, full_nanos=full)
        if hold is not None:
            return hold
        return await money.hold(
            account_id=caller.account_id,
            api_key_id=caller.api_key_id,
            monthly_limit_nanos=caller.monthly_limit_nanos,
            full_nanos=full,
            least_nanos=asked.bounds.least_nanos(asked.model),
        )

    def _record(self, endpoint: Endpoint, asked: _Asked, request_id: str, *, streamed: bool) -> Record:
        price = asked.model.price
        return Record(
            request_id=request_id,
            account_id=asked.caller.account_id,
            api_key_id=asked.caller.api_key_id,
            start_time_ns=self._parts.now_ns(),
            model_public_name=asked.model.public_name,
            endpoint=endpoint.name,
            price_version_id=price.version_id,
            input_nanos_per_mtok=price.input_nanos_per_mtok,
            cached_input_nanos_per_mtok=price.cached_input_nanos_per_mtok,
            cache_write_input_nanos_per_mtok=price.cache_write_input_nanos_per_mtok,
            output_nanos_per_mtok=price.output_nanos_per_mtok,
            upstream_name=asked.target.upstream.name,
            upstream_model=asked.target.upstream_model,
            streamed=streamed,
        )

    async def _run(self, exchange: Exchange, receive: Receive) -> None:
        """Has it answered; whatever happens, the record is final and the money settled before the last byte."""
        running = self._parts.running
        running.add(exchange)
        watcher = asyncio.create_task(_watch(receive, exchange))
        try:
            ending = await converse(exchange, self._parts.client, usage_wait_s=running.patience.usage_s)
            await self._settle(exchange, ending)
            await _deliver(exchange, ending)
        except asyncio.CancelledError:
            await self._settle(exchange, Ending(Status.ERROR, error=internal_error()))
            raise
        except Exception:
            log.exception("inference_failed", request_id=exchange.record.request_id)
            ending = Ending(Status.ERROR, error=internal_error())
            await self._settle(exchange, ending)
            await _deliver(exchange, ending)
        finally:
            watcher.cancel()
            running.discard(exchange)

    async def _settle(self, exchange: Exchange, ending: Ending) -> None:
        if exchange.record.status is not Status.OPEN:
            return
        note_ending(exchange, ending, now_s=asyncio.get_running_loop().time())
        await self._parts.money.finish(exchange.hold, exchange.record)
        count_ended(exchange.record)
        if ending.error is not None:
            log.warning(
                "inference_error",
                request_id=exchange.record.request_id,
                code=ending.error.code,
                upstream=exchange.record.upstream_name,
                cause=str(ending.error.__cause__ or ending.error.__context__ or ""),
            )


async def _deliver(exchange: Exchange, ending: Ending) -> None:
    """Sends what is still to be sent. Who does not take it cannot keep us from ending: the record is final."""
    try:
        if exchange.cause is None:
            await exchange.wait(_send_last(exchange, ending), for_client=True)
        elif ending.status is not Status.CANCELLED:
            async with asyncio.timeout(LAST_WORDS_S):
                await _send_last(exchange, ending)
    except (Interrupted, TimeoutError):
        return


async def _send_last(exchange: Exchange, ending: Ending) -> None:
    reply = exchange.reply
    if ending.error is not None:
        await reply.fail(ending.error)
    elif exchange.plan.streamed:
        await reply.end(ending.last)
    else:
        reply.headers["x-privaterouter-cost-usd"] = format_usd(exchange.record.cost_nanos)
        await reply.whole(200, ending.last)


async def _watch(receive: Receive, exchange: Exchange) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    exchange.interrupt(Cause.CLIENT_GONE)


def _changes(asked: _Asked, limit: int, *, streamed: bool) -> dict[str, bytes]:
    """The JSON values that differ from what the caller sent."""
    changes = {"model": json.dumps(asked.target.upstream_model).encode()}
    if asked.bounds.answers:
        names = [name for name in ("max_tokens", "max_completion_tokens") if getattr(asked.inputs, name) is not None]
        changes |= dict.fromkeys(names or ["max_tokens"], b"%d" % limit)
    if streamed:
        changes["stream_options"] = b'{"include_usage":true}'
    return changes
