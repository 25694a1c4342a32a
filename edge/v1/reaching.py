"""Finds a candidate that answers: one after the other, until an answer has begun or there is nobody left.

Another one is tried only while nothing of an answer has come: after a connection that failed or broke, a silence, an
error status, or a 200 with something else than an answer, and within the fleet's budget of retries. A whole answer has
begun when all of it is there and good. The request's own faults are nobody else's to judge.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec

from edge.errors import EdgeError
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
from edge.v1.billing import Ending
from edge.v1.exchange import Awaited, Cause, Exchange, Interrupted, Outgoing
from edge.v1.judging import MAX_ANSWER_BYTES, judge_piece, judge_whole
from edge.v1.sse import EventReader
from kit import tracing

_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_SILENT_BYTES: Final = 64 * 1024
"""What comes before the answer and says nothing, comments for the most part, is kept up to here, else dropped."""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """How upstreams are reached: by whom, and what is known of them."""

    client: Client
    fleet: Fleet
    looks: Looks


@dataclass(slots=True)
class Reached:
    """Who answers: the request as it was sent, the visit, which must be left, and the answer as far as it has come."""

    outgoing: Outgoing
    visit: Visit
    response: Response
    attempt: Attempt
    """As it is noted where this one does not fail."""
    reader: EventReader = field(default_factory=EventReader)
    out: list[bytes] = field(default_factory=list)
    """Of a stream, what the client is to get of it already; it has the head. Empty where it is not streamed."""
    ending: Ending | None = None
    """How it ended: always of a whole answer, and of a stream where all of it has come."""


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
                tried_s = time.monotonic() - begun_s
                _note(exchange, _attempt(candidate, failed.status, error_code=failed.error.code, lasted_s=tried_s))
            else:
                if failed is not None:
                    _note(exchange, reached.attempt)
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
        begun_s = time.monotonic()
        outgoing = exchange.plan.prepare(candidate)
        exchange.begin(outgoing)
        if tracing.active is not None:
            visit.span = tracing.active.begin_calling(f"upstream {candidate.upstream.name}", _told(candidate))
        response = await _ask(exchange, outgoing, upstreams.client, visit)
        visit.answered(time.monotonic())
        upstreams.looks.note_answer(candidate.route)
        attempt = _attempt(candidate, response.status, error_code="", lasted_s=time.monotonic() - begun_s)
        reached = Reached(outgoing, visit, response, attempt)
        waits = any(one.model is not candidate.model for one in exchange.plan.candidates if one not in tried)
        reached.ending = await _hear(exchange, reached, head_waits=waits)
        exchange.heard(exchange.now_s())
    except _Failed as failed:
        visit.leave(failed.outcome or Outcome.NEUTRAL, pause_s=failed.pause_s)
        raise
    except BaseException:
        visit.leave(Outcome.NEUTRAL)
        raise
    return reached


def _told(candidate: Candidate) -> dict[str, str | int]:
    """What a span says of a try."""
    return {
        "gen_ai.request.model": candidate.route.upstream_model,
        "privaterouter.upstream": candidate.upstream.name,
        "privaterouter.upstream_kind": candidate.upstream.kind,
    }


async def _ask(exchange: Exchange, outgoing: Outgoing, client: Client, visit: Visit) -> Response:
    route = outgoing.candidate.route
    headers = outgoing.target.headers
    if visit.span is not None:
        headers = {**headers, **visit.span.headers()}
    try:
        response = await exchange.wait(
            client.post(
                outgoing.target.url,
                headers=headers,
                body=outgoing.body,
                connect_timeout_s=route.connect_timeout_s,
                sent=exchange.note_forwarded,
            ),
            awaited=Awaited.HEAD,
        )
        if visit.span is not None:
            visit.span.note({"http.response.status_code": response.status})
        if response.status == 200:
            return response
        raise await _refusal(exchange, outgoing, response)
    except TimeoutError:
        raise _Failed(upstream_timeout(), Outcome.FAILURE) from None
    except UpstreamError as error:
        raise _Failed(from_failure(error), Outcome.FAILURE) from error


async def _hear(exchange: Exchange, reached: Reached, *, head_waits: bool) -> Ending | None:
    """Waits until the answer has begun; its Ending where all of it has come. _Failed where there is none."""
    try:
        if exchange.plan.streamed:
            return await _begin_stream(exchange, reached, head_waits=head_waits)
        body = await read_all(lambda: _read(exchange, reached), MAX_ANSWER_BYTES)
        return judge_whole(exchange, reached.outgoing, body)
    except EdgeError as error:
        failure = error
    except UpstreamError as error:
        failure = from_failure(error)
    except TimeoutError:
        failure = upstream_timeout()
    except Interrupted as interrupted:
        if interrupted.cause is not Cause.TIMEOUT:
            reached.response.release()
            raise
        failure = upstream_timeout()
    except BaseException:
        reached.response.release()
        raise
    reached.response.release()
    raise _Failed(failure, Outcome.FAILURE, status=reached.response.status)


async def _read(exchange: Exchange, reached: Reached) -> bytes:
    """The next piece of the answer. TimeoutError after too long a silence."""
    return await exchange.wait(reached.response.read(), awaited=Awaited.PIECE)


async def _begin_stream(exchange: Exchange, reached: Reached, *, head_waits: bool) -> Ending | None:
    """The pieces of a stream up to the first with something of an answer: without one, nobody was given anything.

    The client's head waits for it where another model may answer yet, since it names the one that does. Comments and
    the like wait too: they keep the upstream's time, and the client gets ours.
    """
    if not reached.response.header("content-type").lower().startswith("text/event-stream"):
        raise upstream_failed("The model's server did not answer with a stream.")
    if not head_waits:
        await exchange.reply.start_stream()
    out, ending, silent_bytes = reached.out, None, 0
    while not exchange.told and ending is None:
        if silent_bytes > _MAX_SILENT_BYTES:
            out.clear()
            silent_bytes = 0
        known = len(out)
        piece = await _read(exchange, reached)
        ending = judge_piece(exchange, reached.outgoing, reached.reader, piece=piece, out=out)
        silent_bytes += sum(map(len, out[known:]))
    if ending is not None and ending.error is not None and not exchange.told:
        raise ending.error
    await exchange.reply.start_stream()
    return ending


async def _refusal(exchange: Exchange, outgoing: Outgoing, response: Response) -> Exception:
    """What an answer with another status than 200 comes to."""
    exchange.note_failed()
    try:
        async with asyncio.timeout(outgoing.candidate.route.idle_timeout_s):
            body = await exchange.wait(read_all(response.read, _MAX_ERROR_BYTES))
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


def _attempt(candidate: Candidate, status: int, *, error_code: str, lasted_s: float) -> Attempt:
    return Attempt(
        upstream_name=candidate.upstream.name,
        upstream_model=candidate.route.upstream_model,
        http_status=status,
        error_code=error_code,
        duration_ms=max(0, round(lasted_s * 1000)),
    )


def _note(exchange: Exchange, attempt: Attempt) -> None:
    exchange.record.attempts = (*exchange.record.attempts, attempt)


def note_broken(exchange: Exchange, attempt: Attempt, error_code: str) -> None:
    """Notes that the upstream that had begun to answer failed after all, whether its attempt is listed yet or not."""
    record = exchange.record
    others = tuple(one for one in record.attempts if one is not attempt)
    record.attempts = (*others, msgspec.structs.replace(attempt, error_code=error_code))
