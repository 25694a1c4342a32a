"""Finds a candidate that answers: one after the other, until a head of an answer has come or there is nobody left.

Another one is tried only while nothing of an answer has come: after a connection that failed or broke, a silence, or an
error status, and within the fleet's budget of retries. The request's own faults are nobody else's to judge.
"""

import asyncio
from typing import Final

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
    upstream_timeout,
)
from edge.upstream.fleet import Fleet, Outcome, Visit
from edge.v1.exchange import Exchange

_MAX_ERROR_BYTES: Final = 64 * 1024


class _Failed(Exception):
    """A try that came to nothing; the error is what the client gets where it was the last one."""

    def __init__(self, error: EdgeError, *, status: int, outcome: Outcome, retry_after_s: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.status = status
        self.outcome = outcome
        self.retry_after_s = retry_after_s


async def reach(exchange: Exchange, client: Client, fleet: Fleet) -> tuple[Visit, Response]:
    """The head of an answer with status 200, and the visit to whom it came from, which the caller has to leave.

    EdgeError: the last failure, or `upstream_unavailable`; Interrupted.
    """
    plan = exchange.plan
    tried: list[Candidate] = []
    last: EdgeError | None = None
    while candidate := fleet.choose(plan.candidates, tried=tried, sticky_key=plan.sticky_key):
        if last is not None and not fleet.may_retry():
            break
        tried.append(candidate)
        begun_s = _now()
        try:
            visit = await exchange.wait(fleet.enter(candidate))
        except EdgeError as error:
            last = error
            _note(exchange, candidate, status=0, error=error, begun_s=begun_s)
            continue
        try:
            response = await _ask(exchange, client, candidate)
        except _Failed as failed:
            visit.leave(failed.outcome, retry_after_s=failed.retry_after_s)
            last = failed.error
            _note(exchange, candidate, status=failed.status, error=last, begun_s=begun_s)
        except BaseException:
            visit.leave(Outcome.NEUTRAL)
            raise
        else:
            if exchange.record.attempts:
                _note(exchange, candidate, status=response.status, error=None, begun_s=begun_s)
            return visit, response
    raise last or unreachable()


async def _ask(exchange: Exchange, client: Client, candidate: Candidate) -> Response:
    """One try. _Failed where another one may be asked, EdgeError where the request itself was refused."""
    outgoing = exchange.plan.prepare(candidate)
    exchange.begin(outgoing)
    try:
        async with asyncio.timeout(candidate.route.first_byte_timeout_s):
            response = await exchange.wait(
                client.post(
                    outgoing.target.url,
                    headers=outgoing.target.headers,
                    body=outgoing.body,
                    connect_timeout_s=candidate.route.connect_timeout_s,
                    sent=exchange.note_forwarded,
                )
            )
    except TimeoutError:
        raise _Failed(upstream_timeout(), status=0, outcome=Outcome.FAILURE) from None
    except UpstreamError as error:
        raise _Failed(from_failure(error), status=0, outcome=Outcome.FAILURE) from error
    if response.status == 200:
        exchange.heard(_now())
        return response
    raise await _refusal(exchange, response)


async def _refusal(exchange: Exchange, response: Response) -> Exception:
    """What an answer with another status than 200 comes to."""
    outgoing = exchange.outgoing
    assert outgoing is not None
    try:
        async with asyncio.timeout(outgoing.candidate.route.idle_timeout_s):
            body = await exchange.wait(read_all(response, _MAX_ERROR_BYTES))
    except (UpstreamError, EdgeError, TimeoutError):
        body = b""
    finally:
        response.release()
    error = from_status(response, body, target=outgoing.target, public_name=exchange.record.model_public_name)
    if isinstance(error, UpstreamRefusal):
        return error
    status = response.status
    if status == 429:
        return _Failed(error, status=status, outcome=Outcome.BUSY, retry_after_s=float(error.headers["retry-after"]))
    # Of a 4xx that is our fault (a wrong credential, a model that it does not have) others may know nothing.
    outcome = Outcome.FAILURE if status >= 500 or status == 408 else Outcome.NEUTRAL
    return _Failed(error, status=status, outcome=outcome)


def _note(exchange: Exchange, candidate: Candidate, *, status: int, error: EdgeError | None, begun_s: float) -> None:
    exchange.record.attempts.append(
        Attempt(
            upstream_name=candidate.upstream.name,
            upstream_model=candidate.route.upstream_model,
            http_status=status,
            error_code=error.code if error else "",
            duration_ms=max(0, round((_now() - begun_s) * 1000)),
        )
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
