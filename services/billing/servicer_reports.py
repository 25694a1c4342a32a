"""The RPCs that report to operators over all accounts; they only read."""

from kit import audit_log
from kit.database import Database
from kit.interceptors import Context
from kit.paging import page
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceServicer
from services.billing import packing, store_accounts, store_ledger
from services.billing.ledger import Filter, TransactionKind


class ReportsServicer(BillingServiceServicer):
    """The part of privaterouter.billing.v1.BillingService that reports."""

    _database: Database

    async def ListAllTransactions(
        self, request: pb.ListAllTransactionsRequest, context: Context
    ) -> pb.ListAllTransactionsResponse:
        wanted = Filter(
            account_id=packing.optional_uuid(request.account_id, "account_id"),
            kinds=packing.kinds([request.kind] if request.kind else []),
        )
        limits = page(request.limit, request.offset)
        async with self._database.reader() as connection:
            total = await store_ledger.transaction_count(connection, wanted)
            rows = await store_ledger.transactions(connection, wanted, limits, total=total)
        return pb.ListAllTransactionsResponse(
            transactions=[
                pb.AccountTransaction(account_id=str(row.account_id), transaction=packing.transaction(row))
                for row in rows
            ],
            total=total,
        )

    async def SumCredits(self, request: pb.SumCreditsRequest, context: Context) -> pb.SumCreditsResponse:
        from_id, to_id = packing.span(request)
        async with self._database.reader() as connection:
            sums = await store_ledger.credit_sums(connection, from_id=from_id, to_id=to_id)
        granted = (TransactionKind.PLAN_CREDIT, TransactionKind.ADJUSTMENT)
        return pb.SumCreditsResponse(
            top_up_nanos=sums.get(TransactionKind.TOP_UP, 0), granted_nanos=sum(sums.get(kind, 0) for kind in granted)
        )

    async def GetLedgerTotals(self, request: pb.GetLedgerTotalsRequest, context: Context) -> pb.GetLedgerTotalsResponse:
        async with self._database.reader() as connection:
            amounts = await store_ledger.amounts_by_kind(connection)
            absorbed_nanos = await store_ledger.absorbed_nanos(connection)
            customer_nanos = await store_accounts.posted_nanos(connection)
        return pb.GetLedgerTotalsResponse(
            customer_nanos=customer_nanos,
            revenue_nanos=-amounts.get(TransactionKind.CHARGE, 0),
            promo_nanos=-amounts.get(TransactionKind.PLAN_CREDIT, 0),
            cash_nanos=-amounts.get(TransactionKind.TOP_UP, 0),
            adjustments_nanos=-amounts.get(TransactionKind.ADJUSTMENT, 0),
            absorbed_nanos=absorbed_nanos,
        )

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        limits = page(request.limit, request.offset, maximum=audit_log.MAX_LIMIT)
        actor_id = packing.optional_uuid(request.actor_id, "actor_id")
        subject_id = packing.text(request.subject_id, field="subject_id", most=254)
        action = packing.text(request.action, field="action", most=254)
        async with self._database.reader() as connection:
            found, total = await audit_log.events_page(
                connection, "billing", limits, actor_id=actor_id, subject_id=subject_id, action=action
            )
        return pb.ListAuditEventsResponse(events=map(packing.audit_event, found), total=total)
