"""Finds a candidate that answers: one after the other, until an answer has begun or there is nobody left.

Another one is tried only while nothing of an answer has come: after a connection that failed or broke, a silence, or an
error status, and within the fleet's budget of retries. The request's own faults are nobody else's to judge.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from edge.errors import EdgeError
from edge.lookup.catalogue import Route
from edge.money.records import Attempt
from edge.upstream.candidates import Candidate
from edge.upstream.client import Client, Response, UpstreamError
from edge.upstream.failures import (
    UpstreamRefusal,
    from_failure,
    from_status,
    read_all,
    unreachable,
    upstream_failed,
    upstream_timeout,
)
from edge.upstream.fleet import Fleet
from edge.upstream.looks import Looks
from edge.upstream.slots import MovedOn
from edge.upstream.visits import Outcome, Retry, Visit, pause_s
from edge.v1.exchange import Exchange, Outgoing

_MAX_ERROR_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upstreams:
    """How upstreams are reached: by whom, and what is known of them."""

    client: Client
    fleet: Fleet
    looks: Looks


@dataclass(frozen=True, slots=True)
class Reached:
    """Who answers: the request as it was sent, the visit, which must be left, and the answer from its head on."""

    outgoing: Outgoing
    visit: Visit
    response: Response
    first: bytes
    """Of a stream, what has come of it already; the client has its head. Empty where it is not streamed."""


class _Failed(Exception):
    """A try that came to nothing; the error is what the client gets where it was the last one.

    `outcome` is None where nothing was sent: no slot was free.
    """

    def __init__(self, error: EdgeError, outcome: Outcome | None, *, status: int = 0, pause_s: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.outcome = outcome
        self.status = status
        self.pause_s = pause_s


async def reach(exchange: Exchange, upstreams: Upstreams) -> Reached:
    """Who answers with status 200. EdgeError: the last failure, or `upstream_unavailable`; Interrupted."""
    plan, fleet = exchange.plan, upstreams.fleet
    tried: list[Candidate] = []
    failed: _Failed | None = None
    retry: Retry | None = None
    try:
        while candidate := fleet.choose(plan.candidates, tried, plan.sticky_key):
            if failed is not None and failed.outcome is not None:
                retry = await exchange.wait(_renewed(retry, fleet))
                if retry is None:
                    failed.error.headers.setdefault("retry-after", "1")
                    break
            tried.append(candidate)
            begun_s = time.monotonic()
            try:
                reached = await _try(exchange, upstreams, candidate, tried)
            except _Failed as failure:
                failed = failure
                exchange.note_failed()
                if isinstance(failed.error, MovedOn):
                    tried.remove(candidate)  # It is still better than none.
                _note(exchange, candidate, status=failed.status, error_code=failed.error.code, begun_s=begun_s)
            else:
                if failed is not None:
                    _note(exchange, candidate, status=reached.response.status, error_code="", begun_s=begun_s)
                return reached
    finally:
        if retry is not None:
            retry.end()
    raise failed.error if failed is not None else unreachable()


async def _renewed(retry: Retry | None, fleet: Fleet) -> Retry | None:
    """The leave for one more try in the place of the last one's."""
    if retry is not None:
        retry.end()
    return await fleet.retry()


async def _try(exchange: Exchange, upstreams: Upstreams, candidate: Candidate, tried: Collection[Candidate]) -> Reached:
    """One try. _Failed where another one may be asked, EdgeError where the request itself was refused."""
    try:
        visit = await exchange.wait(upstreams.fleet.enter(candidate, exchange.plan.candidates, tried))
    except EdgeError as error:
        raise _Failed(error, None) from error
    try:
        outgoing = exchange.plan.prepare(candidate)
        exchange.begin(outgoing)
        response = await _ask(exchange, outgoing, upstreams.client)
        visit.answered(time.monotonic())
        upstreams.looks.note_answer(candidate.route)
        first = b""
        if exchange.plan.streamed:
            waits = any(one.model is not candidate.model for one in exchange.plan.candidates if one not in tried)
            first = await _first_piece(exchange, response, candidate.route, head_waits=waits)
        exchange.heard(asyncio.get_running_loop().time())
    except _Failed as failed:
        visit.leave(failed.outcome or Outcome.NEUTRAL, pause_s=failed.pause_s)
        raise
    except BaseException:
        visit.leave(Outcome.NEUTRAL)
        raise
    return Reached(outgoing, visit, response, first)


async def _ask(exchange: Exchange, outgoing: Outgoing, client: Client) -> Response:
    route = outgoing.candidate.route
    try:
        # The timer that looks after all exchanges ends it: a model may have to be loaded first.
        async with asyncio.timeout(None) as ends:
            exchange.asked = (asyncio.get_running_loop().time(), ends)
            response = await exchange.wait(
                client.post(
                    outgoing.target.url,
                    headers=outgoing.target.headers,
                    body=outgoing.body,
                    connect_timeout_s=route.connect_timeout_s,
                    sent=exchange.note_forwarded,
                )
            )
            exchange.asked = None
            if response.status == 200:
                return response
            raise await _refusal(exchange, outgoing, response)
    except TimeoutError:
        raise _Failed(upstream_timeout(), Outcome.FAILURE) from None
    except UpstreamError as error:
        raise _Failed(from_failure(error), Outcome.FAILURE) from error
    finally:
        exchange.asked = None


async def _first_piece(exchange: Exchange, response: Response, route: Route, *, head_waits: bool) -> bytes:
    """The first piece of a stream: one that breaks off or falls silent before it has given nothing to anybody.

    The client's head waits for it where another model may answer yet, since it names the one that does.
    """
    try:
        if not response.header("content-type").startswith("text/event-stream"):
            raise _Failed(
                upstream_failed("The model's server did not answer with a stream."), Outcome.FAILURE, status=200
            )
        if not head_waits:
            await exchange.reply.start_stream()
        async with asyncio.timeout(route.idle_timeout_s):
            piece = await exchange.wait(response.read())
        if not piece:
            raise _Failed(
                upstream_failed("The model's server broke off before its answer."), Outcome.FAILURE, status=200
            )
        if head_waits:
            await exchange.reply.start_stream()
    except TimeoutError:
        response.release()
        raise _Failed(upstream_timeout(), Outcome.FAILURE, status=200) from None
    except UpstreamError as error:
        response.release()
        raise _Failed(from_failure(error), Outcome.FAILURE, status=200) from error
    except BaseException:
        response.release()
        raise
    return piece


async def _refusal(exchange: Exchange, outgoing: Outgoing, response: Response) -> Exception:
    """What an answer with another status than 200 comes to."""
    exchange.note_failed()
    try:
        async with asyncio.timeout(outgoing.candidate.route.idle_timeout_s):
            body = await exchange.wait(read_all(response, _MAX_ERROR_BYTES))
    except (UpstreamError, EdgeError, TimeoutError):
        body = b""
    finally:
        response.release()
    status = response.status
    error = from_status(response, body, target=outgoing.target, public_name=exchange.record.model_public_name)
    if isinstance(error, UpstreamRefusal):
        return error
    if status == 429:
        return _Failed(error, Outcome.BUSY, status=status, pause_s=pause_s(response.header("retry-after")))
    # Of a 4xx that is our fault (a wrong credential, a model that it does not have) others may know nothing.
    return _Failed(error, Outcome.FAILURE if status >= 500 or status == 408 else Outcome.NEUTRAL, status=status)


def _note(exchange: Exchange, candidate: Candidate, *, status: int, error_code: str, begun_s: float) -> None:
    tried = Attempt(
        upstream_name=candidate.upstream.name,
        upstream_model=candidate.route.upstream_model,
        http_status=status,
        error_code=error_code,
        duration_ms=max(0, round((time.monotonic() - begun_s) * 1000)),
    )
    exchange.record.attempts = (*exchange.record.attempts, tried)
