"""The RPCs that check the books, or let usage compare them with its records; they only read."""

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kit.database import Database
from kit.errors import InvalidArgument
from kit.ids import lowest_id, parse_uuid
from kit.interceptors import Context
from kit.paging import page
from kit.timestamps import from_proto, to_proto
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceServicer
from services.billing import audit, packing, store_audit
from services.billing.audit import Check, Mismatch, Part
from services.billing.terms import Terms

MOST_ROWS = 10_000
MOST_REQUESTS = 1_000
USUAL_ROWS = 1_000

_PARTS = {
    pb.LEDGER_PART_TRANSACTIONS: Part.TRANSACTIONS,
    pb.LEDGER_PART_ACCOUNTS: Part.ACCOUNTS,
    pb.LEDGER_PART_API_KEYS: Part.API_KEYS,
    pb.LEDGER_PART_LEASES: Part.LEASES,
}
_CHECKS = {
    Check.ENTRIES: pb.LEDGER_CHECK_ENTRIES,
    Check.POSTED: pb.LEDGER_CHECK_POSTED,
    Check.LEASED: pb.LEDGER_CHECK_LEASED,
}
_FIRST = UUID(int=0)
_BEGINNING = (datetime(1, 1, 1, tzinfo=UTC), _FIRST, _FIRST)


class ChecksServicer(BillingServiceServicer):
    """The part of privaterouter.billing.v1.BillingService that checks."""

    _database: Database
    _terms: Terms

    async def VerifyLedger(self, request: pb.VerifyLedgerRequest, context: Context) -> pb.VerifyLedgerResponse:
        part = _PARTS.get(request.part)
        if part is None:
            raise InvalidArgument("part is none that can be walked through", field="part")
        from_time = _time(request, "from_time")
        async with self._database.reader() as connection:
            audited = await audit.audit(
                connection,
                part,
                since=lowest_id(from_time) if from_time else None,
                token=request.page_token,
                limit=_limit(request.limit),
            )
        return pb.VerifyLedgerResponse(
            checked=audited.checked,
            mismatches=map(_mismatch, audited.mismatches),
            next_page_token=audited.next_token,
        )

    async def ListCharges(self, request: pb.ListChargesRequest, context: Context) -> pb.ListChargesResponse:
        packing.at_most(request.request_ids, MOST_REQUESTS, field="request_ids")
        request_ids = packing.uuids(request.request_ids, "request_ids")
        from_time, to_time = _time(request, "from_time"), _time(request, "to_time")
        after = _BEGINNING
        if request.HasField("after"):
            after = (
                _time(request.after, "record_time") or _BEGINNING[0],
                parse_uuid(request.after.request_id, "after.request_id"),
                parse_uuid(request.after.account_id, "after.account_id"),
            )
        if from_time and from_time > after[0]:
            after = (from_time, _FIRST, _FIRST)
        async with self._database.reader() as connection:
            if request_ids:
                found = await store_audit.charges_of(connection, request_ids)
            else:
                await store_audit.allow_time(connection)
                found = await store_audit.charges(connection, after, to_time=to_time, limit=_limit(request.limit))
        return pb.ListChargesResponse(
            charges=[
                pb.RequestCharge(
                    request_id=str(row.request_id),
                    record_time=to_proto(row.record_time),
                    account_id=str(row.account_id),
                    amount_nanos=row.amount_nanos,
                )
                for row in found
            ]
        )

    async def ListUnreleasedLeases(
        self, request: pb.ListUnreleasedLeasesRequest, context: Context
    ) -> pb.ListUnreleasedLeasesResponse:
        after = parse_uuid(request.after_lease_id, "after_lease_id") if request.after_lease_id else _FIRST
        least_late_ms = None
        if request.HasField("least_overdue_ms"):
            least_late_ms = request.least_overdue_ms + self._terms.release_after_ms
        async with self._database.reader() as connection:
            leases = await store_audit.unreleased_leases(
                connection, after, least_late_ms=least_late_ms, limit=_limit(request.limit)
            )
        return pb.ListUnreleasedLeasesResponse(
            leases=[
                pb.UnreleasedLease(
                    lease_id=str(lease.lease_id),
                    worker_id=str(lease.worker_id),
                    account_id=str(lease.account_id),
                    remainder_nanos=lease.remainder_nanos,
                    overdue_ms=lease.late_ms - self._terms.release_after_ms,
                    expired=lease.late_ms >= 0,
                )
                for lease in leases
            ]
        )


def _limit(limit: int) -> int:
    return page(limit, 0, default=USUAL_ROWS, maximum=MOST_ROWS).limit


def _time(message: pb.VerifyLedgerRequest | pb.ListChargesRequest | pb.RequestCharge, field: str) -> datetime | None:
    """A field's time, None where it is unset; InvalidArgument where it is none that a database knows."""
    if not message.HasField(field):  # type: ignore[arg-type]
        return None
    timestamp: Timestamp = getattr(message, field)
    try:
        return from_proto(timestamp)
    except OverflowError as error:
        raise InvalidArgument(f"{field} is out of range", field=field) from error


def _mismatch(found: Mismatch) -> pb.LedgerMismatch:
    return pb.LedgerMismatch(
        check=_CHECKS[found.check],
        subject=found.subject,
        expected_nanos=found.expected_nanos,
        actual_nanos=found.actual_nanos,
        detail=found.detail,
    )
