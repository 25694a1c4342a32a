"""The RPCs that compare usage with billing; they only read."""

from datetime import datetime
from uuid import UUID

from kit.clock import Clock
from kit.database import Database
from kit.errors import AppError, InvalidArgument, RemoteError, Unavailable
from kit.interceptors import Context
from kit.paging import page
from kit.timestamps import from_proto, to_proto
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceServicer
from services.usage.leftovers import LeftLeases
from services.usage.reconcile import BEGINNING, SETTLED_AFTER, Check, Key, Mismatch, compare

MOST_COMPARED = 5_000
USUALLY_COMPARED = 1_000

_CHECKS = {
    Check.CHARGES: pb.RECONCILIATION_CHECK_CHARGES,
    Check.OVERDUE_LEASES: pb.RECONCILIATION_CHECK_OVERDUE_LEASES,
    Check.IDLE: pb.RECONCILIATION_CHECK_IDLE,
}


class ChecksServicer(UsageServiceServicer):
    """The part of privaterouter.usage.v1.UsageService that compares with billing."""

    _database: Database
    _billing: BillingServiceStub
    _left_leases: LeftLeases
    _now: Clock

    async def ReconcileCharges(
        self, request: pb.ReconcileChargesRequest, context: Context
    ) -> pb.ReconcileChargesResponse:
        to_time = self._now() - SETTLED_AFTER
        if wanted := _time(request, "to_time"):
            to_time = min(to_time, wanted)
        after = _key(request.page_token) if request.page_token else BEGINNING
        if (from_time := _time(request, "from_time")) and from_time > after[0]:
            after = (from_time, UUID(int=0))
        limit = page(request.limit, 0, default=USUALLY_COMPARED, maximum=MOST_COMPARED).limit
        try:
            compared = await compare(self._database, self._billing, after, to_time=to_time, limit=limit)
        except RemoteError as error:
            raise _cannot_ask(error) from error
        return pb.ReconcileChargesResponse(
            records=compared.records,
            charges=compared.charges,
            mismatches=map(_mismatch, compared.mismatches),
            next_page_token=f"{compared.next_key[0].isoformat()}/{compared.next_key[1]}" if compared.next_key else "",
            to_time=to_proto(to_time),
        )

    async def ReconcileLeases(self, request: pb.ReconcileLeasesRequest, context: Context) -> pb.ReconcileLeasesResponse:
        try:
            found = await self._left_leases.look(assume_idle=request.assume_idle)
        except RemoteError as error:
            raise _cannot_ask(error) from error
        oldest = found.traffic.oldest_waiting_time
        return pb.ReconcileLeasesResponse(
            leases=found.leases,
            mismatches=map(_mismatch, found.mismatches),
            idle=found.idle,
            open_records=found.traffic.open_records,
            waiting_charges=found.traffic.waiting_charges,
            parked_charges=found.traffic.parked_charges,
            oldest_waiting_time=to_proto(oldest) if oldest else None,
        )


def _cannot_ask(error: RemoteError) -> AppError:
    return Unavailable(f"billing cannot be asked: {error.message}")


def _key(token: str) -> Key:
    moment, _, request_id = token.partition("/")
    try:
        return datetime.fromisoformat(moment), UUID(request_id)
    except ValueError as error:
        raise InvalidArgument("page_token is none of ours", field="page_token") from error


def _time(request: pb.ReconcileChargesRequest, field: str) -> datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    try:
        return from_proto(getattr(request, field))
    except OverflowError as error:
        raise InvalidArgument(f"{field} is out of range", field=field) from error


def _mismatch(found: Mismatch) -> pb.ReconciliationMismatch:
    return pb.ReconciliationMismatch(
        check=_CHECKS[found.check],
        subject=found.subject,
        expected_nanos=found.expected_nanos,
        actual_nanos=found.actual_nanos,
        detail=found.detail,
    )
