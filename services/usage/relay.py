"""The way of charges to billing: one relay sends what the outbox holds until billing has answered it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from prometheus_client import Counter, Gauge

from kit import tracing
from kit.clock import Clock, boottime_s, utc_now
from kit.database import Connection, Database
from kit.errors import RemoteError, Unavailable
from kit.faults import fault_async
from kit.logs import get_logger
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2 as billing
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.usage import store_outbox
from services.usage.store_outbox import Charge
from services.usage.workers import LostWorkers

MOST_CHARGES = 1_000
_FIRST_BACKOFF_S = 0.05
_BOOKED = (billing.CHARGE_OUTCOME_BOOKED, billing.CHARGE_OUTCOME_KNOWN)

log = get_logger()
_settled = Counter("usage_charges_settled", "Charges that billing has booked.")
_refused = Counter("usage_charges_refused", "Charges that billing refused, now parked.", ["reason"])
_parked = Gauge("usage_outbox_parked", "Charges in the outbox that billing has refused.")
_oldest = Gauge("usage_outbox_oldest_seconds", "Age of the oldest charge that billing has not answered.")
_leads = Gauge("usage_relay_leads", "1 where this process is the one that sends.")


class BrokenAnswerError(Exception):
    """Billing answered something that its contract does not allow."""


class Relay:
    """Sends charges in the order of the outbox, in one process at a time, and asks for lost workers.

    Of several processes one leads: it holds a lock for as long as its database session lives, and reads
    the outbox in that session, so that it stops when it loses it. A batch whose answer is lost is sent
    again, which billing's unique index makes harmless.
    """

    def __init__(
        self,
        database: Database,
        stub: BillingServiceStub,
        lost_workers: LostWorkers,
        *,
        interval_s: float = 1.0,
        poll_s: float = 0.1,
        timeout_s: float = 10.0,
        now: Clock = utc_now,
        elapsed_s: Callable[[], float] = boottime_s,
    ) -> None:
        """`interval_s`: between calls without charges, and the longest wait after a failed one."""
        self._database = database
        self._stub = stub
        self._lost_workers = lost_workers
        self._interval_s = interval_s
        self._poll_s = poll_s
        self._timeout_s = timeout_s
        self._now = now
        self._elapsed_s = elapsed_s
        self._wake = asyncio.Event()
        self._expired: set[UUID] = set()

    def wake(self) -> None:
        """Says that there are new charges; without it they would wait for up to `poll_s`."""
        self._wake.set()

    async def run(self) -> None:
        """Sends until cancelled; whatever fails is tried again."""
        while True:
            try:
                async with self._database.session() as session:
                    # Whoever leads may be another process, so there is no event to wait for.
                    while not await store_outbox.lead(session):  # noqa: ASYNC110
                        await asyncio.sleep(self._interval_s)
                    await self._lead(session)
            except Unavailable as error:
                log.warning("relay_without_database", error=error.message)
            except Exception:
                # Charges must go on, and records be taken, whatever one round stumbles over.
                log.exception("relay_failed")
            for gauge in (_leads, _parked, _oldest):
                # Whoever leads now tells of them.
                gauge.set(0)
            await asyncio.sleep(self._interval_s)

    async def _lead(self, session: Connection) -> None:
        log.info("relay_leads")
        _leads.set(1)
        failures = 0
        due_s = self._elapsed_s()
        while True:
            self._wake.clear()
            charges = await store_outbox.waiting(session, limit=MOST_CHARGES)
            due = self._elapsed_s() >= due_s
            if charges or due:
                due_s = self._elapsed_s() + self._interval_s if due else due_s
                drained = await self._review(session) if due else set()
                try:
                    with tracing.working("settle charges"):
                        await self._settle(session, charges, drained)
                    failures = 0
                except (RemoteError, BrokenAnswerError) as error:
                    failures += 1
                    log.warning("settling_failed", error=str(error), failures=failures, charges=len(charges))
                    await asyncio.sleep(min(self._interval_s, _FIRST_BACKOFF_S * 2 ** min(failures, 10)))
                    continue
            if len(charges) < MOST_CHARGES:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), min(self._poll_s, due_s - self._elapsed_s()))

    async def _review(self, session: Connection) -> set[UUID]:
        """The regular look at what is behind; the drained workers."""
        backlog = await store_outbox.backlog(session)
        _parked.set(backlog.parked)
        _oldest.set((self._now() - backlog.oldest_time).total_seconds() if backlog.oldest_time else 0)
        return await self._lost_workers.review(self._expired)

    async def _settle(self, session: Connection, charges: Mapping[int, Charge], drained: set[UUID]) -> None:
        """One call, and the outbox as its answer leaves it; RemoteError when billing did not answer."""
        await fault_async("usage.relay.before_settle")
        response = await self._stub.SettleCharges(
            billing.SettleChargesRequest(
                charges=[_message(charge) for charge in charges.values()],
                drained_worker_ids=sorted(map(str, drained)),
            ),
            timeout=self._timeout_s,
        )
        await fault_async("usage.relay.after_settle")
        if len(response.results) != len(charges):
            raise BrokenAnswerError(f"{len(response.results)} results for {len(charges)} charges")
        await _close(session, charges, [result.outcome for result in response.results])
        await fault_async("usage.relay.after_close")
        self._expired = _worker_ids(response.expired_worker_ids)


async def _close(
    session: Connection, charges: Mapping[int, Charge], outcomes: Sequence[billing.ChargeOutcome.ValueType]
) -> None:
    booked: list[int] = []
    refused: dict[int, str] = {}
    for (number, charge), outcome in zip(charges.items(), outcomes, strict=True):
        if outcome in _BOOKED:
            booked.append(number)
            continue
        reason = _reason(outcome)
        refused[number] = reason
        _refused.labels(reason).inc()
        log.error(
            "charge_refused", request_id=str(charge.request_id), revision=charge.revision, reason=reason,
            account_id=str(charge.account_id), amount_nanos=charge.amount_nanos,
        )  # fmt: skip
    if booked:
        await store_outbox.remove(session, booked)
        _settled.inc(len(booked))
    if refused:
        await store_outbox.park(session, refused)


def _reason(outcome: billing.ChargeOutcome.ValueType) -> str:
    """The outcome's name; a number of a later contract is told as it is."""
    if outcome in billing.ChargeOutcome.values():
        return billing.ChargeOutcome.Name(outcome).removeprefix("CHARGE_OUTCOME_")
    return str(outcome)


def _worker_ids(texts: Sequence[str]) -> set[UUID]:
    try:
        return {UUID(text) for text in texts}
    except ValueError as error:
        raise BrokenAnswerError("an expired worker's id is no UUID") from error


def _message(charge: Charge) -> billing.Charge:
    return billing.Charge(
        request_id=str(charge.request_id),
        revision=charge.revision,
        account_id=str(charge.account_id),
        api_key_id=str(charge.api_key_id),
        lease_id=str(charge.lease_id or ""),
        amount_nanos=charge.amount_nanos,
        model_public_name=charge.model_public_name,
        price_version_id=str(charge.price_version_id or ""),
        record_time=to_proto(charge.record_time),
    )
