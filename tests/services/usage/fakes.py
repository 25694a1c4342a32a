"""A billing service that books into memory, and fails as a test tells it to."""

import asyncio
from collections import Counter
from typing import Any

import grpc

from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class FakeBilling(BillingServiceServicer):
    """Books each (request, revision) once, as billing's unique index does."""

    def __init__(self) -> None:
        self.booked: dict[tuple[str, int], billing.Charge] = {}
        self.sent: Counter[tuple[str, int]] = Counter()
        self.calls: list[billing.SettleChargesRequest] = []
        self.expired: set[str] = set()
        self.refusals: dict[str, billing.ChargeOutcome.ValueType] = {}
        """By request id: the outcome instead of booking."""
        self.away = False
        """Fails calls with charges before anything is booked."""
        self.drops = 0
        """So many calls book, and then their answer is lost."""
        self.short_answers = 0
        """So many calls book nothing and answer with a result too few."""
        self.hold = asyncio.Event()
        """Calls with charges wait for it."""
        self.hold.set()

    async def SettleCharges(
        self, request: billing.SettleChargesRequest, context: Context
    ) -> billing.SettleChargesResponse:
        self.calls.append(request)
        self.sent.update((charge.request_id, charge.revision) for charge in request.charges)
        if self.away and request.charges:
            await context.abort(grpc.StatusCode.INTERNAL, "away")
        if request.charges:
            await self.hold.wait()
        if self.short_answers and request.charges:
            self.short_answers -= 1
            return billing.SettleChargesResponse(results=[billing.ChargeResult()] * (len(request.charges) - 1))
        results = [billing.ChargeResult(outcome=self._book(charge)) for charge in request.charges]
        if self.drops and request.charges:
            self.drops -= 1
            await context.abort(grpc.StatusCode.INTERNAL, "the answer is lost")
        return billing.SettleChargesResponse(results=results, expired_worker_ids=sorted(self.expired))

    def charged(self, request_id: str) -> int:
        """The sum of all revisions of a request's charge."""
        return sum(charge.amount_nanos for key, charge in self.booked.items() if key[0] == request_id)

    def drained(self) -> set[str]:
        """The workers that the latest call named."""
        return set(self.calls[-1].drained_worker_ids) if self.calls else set()

    def _book(self, charge: billing.Charge) -> billing.ChargeOutcome.ValueType:
        if charge.request_id in self.refusals:
            return self.refusals[charge.request_id]
        key = (charge.request_id, charge.revision)
        if key not in self.booked:
            self.booked[key] = charge
            return billing.CHARGE_OUTCOME_BOOKED
        same = self.booked[key] == charge
        return billing.CHARGE_OUTCOME_KNOWN if same else billing.CHARGE_OUTCOME_CONFLICT
