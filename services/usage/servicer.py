"""The RPCs of usage: unpack, one transaction, pack."""

from collections import Counter as Tally
from collections.abc import Sequence
from uuid import UUID

from prometheus_client import Counter

from kit.clock import Clock, utc_now
from kit.database import Database
from kit.errors import InvalidArgument
from kit.faults import fault_async
from kit.ids import parse_uuid
from kit.interceptors import Context
from kit.logs import get_logger
from kit.paging import page
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import intake, listing, paging, store, summaries
from services.usage.errors import UsageNotFound
from services.usage.idempotency import Answers
from services.usage.leftovers import LeftLeases
from services.usage.merging import Verdict
from services.usage.recent import Recent
from services.usage.records import to_message
from services.usage.relay import Relay
from services.usage.servicer_checks import ChecksServicer
from services.usage.servicer_idempotency import IdempotencyServicer

MOST_LISTED = 1_000

log = get_logger()
_records = Counter("usage_records", "Records that workers sent, by what became of them.", ["outcome"])


class UsageServicer(ChecksServicer, IdempotencyServicer):
    """privaterouter.usage.v1.UsageService."""

    def __init__(
        self,
        database: Database,
        relay: Relay,
        *,
        billing: BillingServiceStub,
        left_leases: LeftLeases,
        answers: Answers,
        now: Clock = utc_now,
    ) -> None:
        self._database = database
        self._relay = relay
        self._billing = billing
        self._left_leases = left_leases
        self._answers = answers
        self._now = now
        self._by_account = Recent(self._summarize_all)

    async def RecordUsage(self, request: pb.RecordUsageRequest, context: Context) -> pb.RecordUsageResponse:
        worker_id = parse_uuid(request.worker_id, "worker_id")
        if len(request.records) > intake.MOST_RECORDS:
            raise InvalidArgument(f"more than {intake.MOST_RECORDS} records", field="records")
        reports = intake.read(request.records, worker_id)
        async with self._database.transaction() as connection:
            taken = await intake.take(
                connection, reports, worker_id=worker_id, alive=request.alive, journal_rows=request.journal_rows,
                now=self._now(),
            )  # fmt: skip
            await fault_async("usage.record.before_commit")
        await fault_async("usage.record.after_commit")
        if taken.charged:
            self._relay.wake()
        _tell(request.records, taken.verdicts, worker_id)
        return pb.RecordUsageResponse(
            results=[pb.RecordResult(outcome=verdict.outcome, detail=verdict.detail) for verdict in taken.verdicts]
        )

    async def ListUsage(self, request: pb.ListUsageRequest, context: Context) -> pb.ListUsageResponse:
        wanted = listing.read_filter(parse_uuid(request.account_id, "account_id"), request.filter)
        limit, offset = page(request.limit, request.offset, maximum=MOST_LISTED)
        before = parse_uuid(request.before_request_id, "before_request_id") if request.before_request_id else None
        if before and offset:
            raise InvalidArgument("offset does not go together with before_request_id", field="offset")
        async with self._database.reader() as connection:
            if before:
                records = await paging.records_before(connection, wanted, before=before, limit=limit)
                total = 0
            else:
                records, total = await paging.records(connection, wanted, limit=limit, offset=offset)
        return pb.ListUsageResponse(records=map(to_message, records), total=total)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        request_id = parse_uuid(request.request_id, "request_id")
        async with self._database.reader() as connection:
            record = await store.final_record(connection, account_id, request_id)
        if record is None:
            raise UsageNotFound("this account has no finished request with this id")
        return pb.GetUsageResponse(record=to_message(record))

    async def ListModelUsage(self, request: pb.ListModelUsageRequest, context: Context) -> pb.ListModelUsageResponse:
        conditions = listing.span_conditions(request)
        limit, _ = page(request.limit, 0, maximum=MOST_LISTED)
        async with self._database.reader() as connection:
            records = await store.charged_records(connection, conditions, limit=limit)
        return pb.ListModelUsageResponse(records=map(to_message, records))

    async def SummarizeUsage(self, request: pb.SummarizeUsageRequest, context: Context) -> pb.SummarizeUsageResponse:
        question = summaries.read_question(parse_uuid(request.account_id, "account_id"), request)
        async with self._database.reader() as connection:
            return await summaries.summarize(connection, question)

    async def SummarizeAllUsage(
        self, request: pb.SummarizeAllUsageRequest, context: Context
    ) -> pb.SummarizeAllUsageResponse:
        question = summaries.read_all_question(request)
        # All accounts are too many to sum for everyone who looks.
        by_account = question.group == pb.SUMMARY_GROUP_ACCOUNT
        return await (self._by_account.get(question) if by_account else self._summarize_all(question))

    async def _summarize_all(self, question: summaries.AllQuestion) -> pb.SummarizeAllUsageResponse:
        async with self._database.reader() as connection:
            return await summaries.summarize_all(connection, question)


def _tell(records: Sequence[pb.UsageRecord], verdicts: Sequence[Verdict], worker_id: UUID) -> None:
    """Counts all outcomes, and logs what was refused: money may be in it."""
    for outcome, count in Tally(verdict.outcome for verdict in verdicts).items():
        _records.labels(pb.RecordOutcome.Name(outcome).removeprefix("RECORD_OUTCOME_").lower()).inc(count)
    for record, verdict in zip(records, verdicts, strict=True):
        if verdict.outcome == pb.RECORD_OUTCOME_REFUSED:
            log.error(
                "record_refused", request_id=record.request_id, worker_id=str(worker_id),
                detail=verdict.detail, cost_nanos=record.cost_nanos,
            )  # fmt: skip
