"""Talks with the upstream for one exchange, whole or streamed, and says how it ended."""

import asyncio
from contextlib import suppress

from edge.errors import EdgeError
from edge.money.records import Status
from edge.upstream.client import UpstreamError
from edge.upstream.failures import from_failure, upstream_timeout
from edge.upstream.visits import Outcome
from edge.v1.billing import Ending
from edge.v1.exchange import Cause, Exchange, Interrupted
from edge.v1.judging import judge_piece
from edge.v1.reaching import Reached, Upstreams, note_broken, reach


async def converse(exchange: Exchange, upstreams: Upstreams, *, usage_wait_s: float) -> Ending:
    """Runs the exchange to its end, whatever that is. Cancellation from outside passes through."""
    try:
        reached = await reach(exchange, upstreams)
        if reached.ending is None:
            reached.outgoing = exchange.forget_request(reached.outgoing)
        outcome = Outcome.NEUTRAL
        try:
            ending = await _deliver(exchange, reached, usage_wait_s)
            if ending.said:
                reached.response.finish()
            outcome = Outcome.FAILURE if ending.status is Status.ERROR else Outcome.SUCCESS
        except UpstreamError as error:
            outcome, ending = Outcome.FAILURE, Ending(Status.ERROR, error=from_failure(error))
        except Interrupted as interrupted:
            outcome = Outcome.FAILURE if interrupted.cause is Cause.TIMEOUT else Outcome.NEUTRAL
            ending = _interrupted(interrupted.cause)
        finally:
            reached.response.release()
            reached.visit.leave(outcome)
        if outcome is Outcome.FAILURE and ending.error is not None:
            note_broken(exchange, reached.attempt, ending.error.code)
        return ending
    except Interrupted as interrupted:
        return _interrupted(interrupted.cause)
    except EdgeError as error:
        return Ending(Status.ERROR, error=error)


def _interrupted(cause: Cause) -> Ending:
    if cause is Cause.CLIENT_GONE:
        return Ending(Status.CANCELLED)
    if cause is Cause.TIMEOUT:
        return Ending(Status.ERROR, error=upstream_timeout())
    stopping = EdgeError(
        "service_unavailable", "This server is being restarted. Nothing was charged. Send the request again."
    )
    return Ending(Status.ERROR, error=stopping)


async def _deliver(exchange: Exchange, reached: Reached, usage_wait_s: float) -> Ending:
    """Gives the client what has come and, of a stream, what comes, until that has ended."""
    ended = reached.ending
    # Set here as well: the client may have left before the wait begins.
    exchange.is_giving = bool(reached.out)
    try:
        if reached.out:
            await exchange.wait(_give(exchange, reached.out))
        if ended is None:
            ended = await exchange.wait(_pass_on(exchange, reached))
    except Interrupted as interrupted:
        if not exchange.is_giving:
            raise
        if not exchange.is_finished:
            # Where the time was up it was the client who was silent: it pays like one who leaves.
            cause = Cause.CLIENT_GONE if interrupted.cause is Cause.TIMEOUT else interrupted.cause
            raise Interrupted(cause) from None
    return ended or await _hear_usage(exchange, reached, usage_wait_s)


async def _pass_on(exchange: Exchange, reached: Reached) -> Ending | None:
    """Gives the client what comes, until every answer has said why it ended; the Ending where that ends the stream."""
    read, outgoing, reader, now_s = reached.response.read, reached.outgoing, reached.reader, exchange.now_s
    while not exchange.is_finished:
        piece = await read()
        out: list[bytes] = []
        ending = judge_piece(exchange, outgoing, reader, piece=piece, out=out)
        if out:
            await _give(exchange, out)
        else:
            exchange.heard(now_s())
        if ending:
            return ending
    return None


async def _hear_usage(exchange: Exchange, reached: Reached, usage_wait_s: float) -> Ending:
    """Waits for the usage, since nothing else can follow; it counts even if the client has gone."""
    give_up_s = exchange.now_s() + usage_wait_s
    while True:
        try:
            async with asyncio.timeout_at(give_up_s):
                piece = await reached.response.read()
        except (TimeoutError, UpstreamError):
            return Ending(Status.SUCCESS)
        exchange.heard(exchange.now_s())
        out: list[bytes] = []
        ending = judge_piece(exchange, reached.outgoing, reached.reader, piece=piece, out=out)
        if out:
            with suppress(Interrupted):
                await exchange.wait(_give(exchange, out))
        if ending:
            return ending


async def _give(exchange: Exchange, out: list[bytes]) -> None:
    """Waits until the client has room for what is told: so long its upstream waits too."""
    exchange.is_giving = True
    await exchange.reply.write(out[0] if len(out) == 1 else b"".join(out))
    exchange.is_giving = False
    exchange.heard(exchange.now_s())
