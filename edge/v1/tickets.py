"""What a request takes before its money is held and gives back at its end: its place in the limits, and its key.

ticket = await tickets.admit(caller, plan, ...)
replay = await tickets.claim(ticket, key, ...)         where it has an Idempotency-Key
await tickets.give_up(ticket)                          nothing was forwarded, or it is answered with the replay
await tickets.end(ticket, record, answer=...)          its record is final; before its last byte goes out
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

from edge.limits.rates import Admission, Rates
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Plan
from edge.money.records import Record, Status
from edge.v1.idempotency import Claim, Idempotency, Replay
from edge.v1.limiting import refused, show_limits


@dataclass(slots=True)
class Ticket:
    """Of one request that may run."""

    caller: Caller
    request_id: str
    admission: Admission
    claim: Claim | None = None
    is_open: bool = True
    """Whether it has its place in the limits."""


class Tickets:
    """Gives tickets, and takes them back."""

    def __init__(self, rates: Rates, idempotency: Idempotency) -> None:
        self._rates = rates
        self._idempotency = idempotency

    async def admit(
        self, caller: Caller, plan: Plan, *, request_id: str, tokens: int, shown: MutableMapping[str, str]
    ) -> Ticket:
        """A ticket for a request that may use so many tokens; `shown` gets the headers of the limits.

        EdgeError `rate_limit_exceeded`.
        """
        admission = await self._rates.admit(caller, plan, request_id=request_id, tokens=tokens)
        show_limits(shown, admission)
        if admission.refusal is not None:
            raise refused(admission.refusal)
        return Ticket(caller, request_id, admission)

    async def claim(self, ticket: Ticket, key: str, *, path: str, body: bytes) -> Replay | None:
        """Claims an idempotency key; the replay where an earlier request with it has ended. EdgeError: Idempotency."""
        answer = await self._idempotency.claim(key, ticket.caller, path=path, body=body, request_id=ticket.request_id)
        if isinstance(answer, Replay):
            return answer
        ticket.claim = answer
        return None

    async def give_up(self, ticket: Ticket) -> None:
        """Takes a ticket back that was not used: nothing was forwarded, nothing is charged."""
        self._give_back(ticket, 0)
        if ticket.claim is not None:
            await self._idempotency.release(ticket.claim)

    def drop(self, ticket: Ticket) -> None:
        """Leaves no place in the limits taken, whatever came between; nothing after `give_up` or `end`."""
        self._give_back(ticket, 0)

    async def end(self, ticket: Ticket, record: Record, *, answer: bytes = b"") -> None:
        """Takes the ticket of a request back whose record is final; `answer` is a whole one, empty where streamed."""
        self._give_back(ticket, record.input_tokens + record.output_tokens)
        if ticket.claim is None:
            return
        if record.status is Status.SUCCESS:
            await self._idempotency.keep_answer(ticket.claim, answer)
        elif record.cost_nanos == 0:
            # It came to nothing: whoever repeats it wants it to run.
            await self._idempotency.release(ticket.claim)

    def _give_back(self, ticket: Ticket, used_tokens: int) -> None:
        if ticket.is_open:
            ticket.is_open = False
            self._rates.release(ticket.admission, used_tokens)
