"""Billing's RPCs: unpack, one transaction, pack; what was changed is announced after the commit."""

from uuid import UUID

from kit import audit_log
from kit.clock import Clock
from kit.database import Connection, Database
from kit.errors import InvalidArgument
from kit.faults import fault_async
from kit.ids import IdFactory, parse_uuid
from kit.interceptors import Context
from kit.logs import get_logger
from kit.paging import page
from privaterouter.billing.v1 import billing_pb2 as pb
from services.billing import (
    accounts,
    adjustments,
    charges,
    corrections,
    lease_lifecycle,
    leases,
    measures,
    packing,
    store,
    store_accounts,
    store_ledger,
    top_ups,
)
from services.billing.announcements import Announcer
from services.billing.books import Account
from services.billing.errors import AccountNotFound
from services.billing.plans import Plans
from services.billing.servicer_checks import ChecksServicer
from services.billing.servicer_reports import ReportsServicer
from services.billing.terms import FREE_PLAN, Terms, month_of

MOST_IDS = 1_000
MOST_LISTED = 1_000
MOST_CHANGES = 1_000
MOST_LEASES = 10_000
MOST_CHARGES = 5_000

log = get_logger()


class BillingServicer(ChecksServicer, ReportsServicer):
    """privaterouter.billing.v1.BillingService."""

    def __init__(
        self, database: Database, *, announcer: Announcer, plans: Plans, clock: Clock, ids: IdFactory, terms: Terms
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._plans = plans
        self._clock = clock
        self._ids = ids
        self._terms = terms

    async def OpenAccount(self, request: pb.OpenAccountRequest, context: Context) -> pb.OpenAccountResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        async with self._database.reader() as connection:
            known = await store_accounts.accounts(connection, [account_id])
        if known:
            return pb.OpenAccountResponse(account=packing.account(known[0]))
        free = await self._plans.get(FREE_PLAN)
        async with self._database.transaction() as connection:
            account, opened = await accounts.open_account(
                connection, account_id, free=free, transaction_id=self._ids(), now=self._clock()
            )
        await fault_async("billing.open_account.after_commit")
        if opened:
            self._announcer.changed(account_id)
        return pb.OpenAccountResponse(account=packing.account(account))

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        async with self._database.reader() as connection:
            account = await _account(connection, account_id)
        return pb.GetBalanceResponse(account=packing.account(account))

    async def BatchGetAccounts(
        self, request: pb.BatchGetAccountsRequest, context: Context
    ) -> pb.BatchGetAccountsResponse:
        packing.at_most(request.account_ids, MOST_IDS, field="account_ids")
        account_ids = packing.uuids(request.account_ids, "account_ids")
        async with self._database.reader() as connection:
            found = await store_accounts.accounts(connection, account_ids)
            sequence = await store_accounts.last_change(connection)
        return pb.BatchGetAccountsResponse(accounts=map(packing.account, found), change_sequence=sequence)

    async def ListAccountChanges(
        self, request: pb.ListAccountChangesRequest, context: Context
    ) -> pb.ListAccountChangesResponse:
        if request.after_sequence < -1:
            raise InvalidArgument("after_sequence is a sequence number, 0 or -1", field="after_sequence")
        async with self._database.reader() as connection:
            last = await store_accounts.last_change(connection)
            changes = []
            if request.after_sequence >= 0:
                changes = await store_accounts.changes_after(connection, request.after_sequence, limit=MOST_CHANGES)
        return pb.ListAccountChangesResponse(
            changes=[pb.AccountChange(sequence=number, account_id=str(account_id)) for number, account_id in changes],
            last_sequence=last,
        )

    async def TopUp(self, request: pb.TopUpRequest, context: Context) -> pb.TopUpResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        transaction_id = self._ids()
        async with self._database.transaction() as connection:
            account, transaction = await top_ups.top_up(
                connection,
                account_id,
                amount_nanos=request.amount_nanos,
                idempotency_key=packing.text(request.idempotency_key, field="idempotency_key", least=1, most=255),
                transaction_id=transaction_id,
                now=self._clock(),
            )
        if transaction.id == transaction_id:
            self._announcer.changed(account_id)
        return pb.TopUpResponse(account=packing.account(account), transaction=packing.transaction(transaction))

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        wanted = packing.transaction_filter(request)
        limits = page(request.limit, request.offset, maximum=MOST_LISTED)
        if wanted.before_id and limits.offset:
            raise InvalidArgument("offset does not go together with before_transaction_id", field="offset")
        async with self._database.reader() as connection:
            await _account(connection, account_id)
            total = None if wanted.before_id else await store_ledger.transaction_count(connection, wanted)
            rows = await store_ledger.transactions(connection, wanted, limits, total=total)
        return pb.ListTransactionsResponse(transactions=map(packing.transaction, rows), total=total or 0)

    async def ChangePlan(self, request: pb.ChangePlanRequest, context: Context) -> pb.ChangePlanResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        act = audit_log.act(request.actor_id, request.reason, event_id=self._ids(), now=self._clock())
        plan = await self._plans.get(request.plan_id)
        async with self._database.transaction() as connection:
            account, granted, changed = await accounts.change_plan(
                connection,
                account_id,
                plan=plan,
                act=act,
                transaction_id=self._ids(),
            )
        if changed:
            log.info("plan_changed", account_id=str(account_id), plan_id=plan.id, granted_nanos=granted)
            self._announcer.changed(account_id)
        return pb.ChangePlanResponse(account=packing.account(account), granted_nanos=granted)

    async def AdjustBalance(self, request: pb.AdjustBalanceRequest, context: Context) -> pb.AdjustBalanceResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        transaction_id = self._ids()
        async with self._database.transaction() as connection:
            account, transaction = await adjustments.adjust(
                connection,
                account_id,
                amount_nanos=request.amount_nanos,
                act=audit_log.act(request.actor_id, request.reason.strip(), event_id=self._ids(), now=self._clock()),
                idempotency_key=packing.text(request.idempotency_key, field="idempotency_key", least=1, most=255),
                transaction_id=transaction_id,
            )
        if transaction.id == transaction_id:
            self._announcer.changed(account_id)
        return pb.AdjustBalanceResponse(account=packing.account(account), transaction=packing.transaction(transaction))

    async def BatchGetKeySpend(
        self, request: pb.BatchGetKeySpendRequest, context: Context
    ) -> pb.BatchGetKeySpendResponse:
        packing.at_most(request.api_key_ids, MOST_IDS, field="api_key_ids")
        api_key_ids = packing.uuids(request.api_key_ids, "api_key_ids")
        async with self._database.reader() as connection:
            spend = await store_accounts.key_spend(connection, api_key_ids, month=month_of(self._clock()))
        return pb.BatchGetKeySpendResponse(
            key_spends=[pb.KeySpend(api_key_id=str(key), charged_nanos=nanos) for key, nanos in spend.items()]
        )

    async def AcquireLeases(self, request: pb.AcquireLeasesRequest, context: Context) -> pb.AcquireLeasesResponse:
        worker_id = parse_uuid(request.worker_id, "worker_id")
        wishes = packing.wishes(request.wishes)
        async with self._database.transaction() as connection:
            grants = await leases.acquire(connection, worker_id, wishes=wishes, now=self._clock(), terms=self._terms)
            await fault_async("billing.acquire.before_commit")
        await fault_async("billing.acquire.after_commit")
        measures.count_grants(grants)
        for account_id in {wish.account_id for wish, grant in zip(wishes, grants, strict=True) if grant.recalls}:
            self._announcer.recall(account_id)
        return pb.AcquireLeasesResponse(
            grants=[packing.grant(wish.lease_id, grant) for wish, grant in zip(wishes, grants, strict=True)]
        )

    async def RenewLeases(self, request: pb.RenewLeasesRequest, context: Context) -> pb.RenewLeasesResponse:
        worker_id = parse_uuid(request.worker_id, "worker_id")
        packing.at_most(request.renewals, MOST_LEASES, field="renewals")
        lease_ids = packing.uuids((renewal.lease_id for renewal in request.renewals), "lease_id")
        totals = [renewal.returned_nanos for renewal in request.renewals]
        returned = packing.totals(lease_ids, totals, field="returned_nanos")
        async with self._database.transaction() as connection:
            states = await lease_lifecycle.renew(
                connection, worker_id, returned_nanos=returned, now=self._clock(), terms=self._terms
            )
            await fault_async("billing.renew.before_commit")
        await fault_async("billing.renew.after_commit")
        return pb.RenewLeasesResponse(leases=[packing.lease_state(states[lease_id]) for lease_id in lease_ids])

    async def CloseLeases(self, request: pb.CloseLeasesRequest, context: Context) -> pb.CloseLeasesResponse:
        worker_id = parse_uuid(request.worker_id, "worker_id")
        packing.at_most(request.closings, MOST_LEASES, field="closings")
        lease_ids = packing.uuids((closing.lease_id for closing in request.closings), "lease_id")
        totals = [closing.spent_nanos for closing in request.closings]
        spent = packing.totals(lease_ids, totals, field="spent_nanos")
        async with self._database.transaction() as connection:
            await lease_lifecycle.close(connection, worker_id, spent_nanos=spent)
            await fault_async("billing.close.before_commit")
        await fault_async("billing.close.after_commit")
        return pb.CloseLeasesResponse()

    async def SettleCharges(self, request: pb.SettleChargesRequest, context: Context) -> pb.SettleChargesResponse:
        packing.at_most(request.charges, MOST_CHARGES, field="charges")
        packing.at_most(request.drained_worker_ids, MOST_LEASES, field="drained_worker_ids")
        now = self._clock()
        batch = [packing.charge(message, now) for message in request.charges]
        drained = packing.uuids(request.drained_worker_ids, "drained_worker_ids")
        async with self._database.transaction() as connection:
            settlement = await charges.settle(
                connection, batch, drained_worker_ids=drained, ids=self._ids, now=now, terms=self._terms
            )
            uptime_ms = await store.uptime_ms(connection)
            expired = await store.workers_with_expired_leases(connection, uptime_ms=uptime_ms)
            await fault_async("billing.settle.before_commit")
        await fault_async("billing.settle.after_commit")
        measures.count_charges(batch, settlement)
        return pb.SettleChargesResponse(
            results=map(packing.charge_result, settlement.outcomes), expired_worker_ids=map(str, expired)
        )

    async def GetCharges(self, request: pb.GetChargesRequest, context: Context) -> pb.GetChargesResponse:
        account_id = parse_uuid(request.account_id, "account_id")
        request_id = parse_uuid(request.request_id, "request_id")
        async with self._database.reader() as connection:
            rows = await store_ledger.request_transactions(connection, account_id, request_id=request_id)
        return pb.GetChargesResponse(transactions=map(packing.request_transaction, rows))

    async def CorrectCharges(self, request: pb.CorrectChargesRequest, context: Context) -> pb.CorrectChargesResponse:
        wanted = packing.corrections_of(request.corrections)
        purpose = corrections.Purpose(
            price_version_id=packing.text(request.price_version_id, field="price_version_id", least=1, most=200),
            description=packing.text(request.description, field="description", least=1, most=500),
            actor_id=packing.optional_uuid(request.actor_id, "actor_id"),
        )
        if request.dry_run:
            changes = packing.changes(request.dry_run_changes)
            async with self._database.reader() as connection:
                results = await corrections.preview(connection, wanted, changes=changes)
            return pb.CorrectChargesResponse(results=map(packing.correction_result, results))
        async with self._database.transaction() as connection:
            results = await corrections.correct(connection, wanted, purpose=purpose, ids=self._ids, now=self._clock())
        booked = [result for result in results if result.outcome is corrections.Outcome.BOOKED]
        for account_id in {result.account_id for result in booked if result.account_id}:
            self._announcer.changed(account_id)
        if booked:
            log.info(
                "charges_corrected",
                corrections=len(booked),
                amount_nanos=sum(result.amount_nanos for result in booked),
                price_version_id=purpose.price_version_id,
                actor_id=request.actor_id,
            )
        return pb.CorrectChargesResponse(results=map(packing.correction_result, results))


async def _account(connection: Connection, account_id: UUID) -> Account:
    """The account; AccountNotFound where it has not been opened."""
    found = await store_accounts.accounts(connection, [account_id])
    if not found:
        raise AccountNotFound(f"the account {account_id} has not been opened")
    return found[0]
