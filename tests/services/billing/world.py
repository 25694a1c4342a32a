"""Billing as a test sees it: a real server on a real database, a clock to turn, a catalogue to fill."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from kit.bus import Bus
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceServicer
from services.billing.errors import PlanNotFound
from services.billing.uptime import Uptime

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
USD = 1_000_000_000
CENT = USD // 100

new_id = IdFactory()


def some_id() -> str:
    return str(new_id())


class UnknownPlan(PlanNotFound):
    domain = "catalog.privaterouter"


class FakeCatalog(CatalogServiceServicer):
    """Answers GetPlan from `included`, or with the error it is told to raise."""

    def __init__(self) -> None:
        self.included = {"free": USD, "starter": 12 * USD, "pro": 25 * USD}
        self.error: Exception | None = None
        self.calls = 0

    async def GetPlan(self, request: catalog_pb2.GetPlanRequest, context: object) -> catalog_pb2.GetPlanResponse:
        self.calls += 1
        if self.error:
            raise self.error
        if request.plan_id not in self.included:
            raise UnknownPlan("there is no such plan")
        return catalog_pb2.GetPlanResponse(
            plan=catalog_pb2.Plan(
                id=request.plan_id,
                name=request.plan_id.capitalize(),
                included_nanos=self.included[request.plan_id],
            )
        )

    GetCatalog = CreateModel = UpdateModel = SetModelPrice = UpdatePlan = SetUpstream = GetPlan  # type: ignore[assignment]
    ListModelPrices = GetPlan  # type: ignore[assignment]
    ListAuditEvents = GetPlan  # type: ignore[assignment]


class RecordingBus(Bus):
    """Keeps the hints instead of sending them."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, dict[str, str]]] = []

    async def publish(self, topic: str, payload: dict[str, str]) -> None:
        self.hints.append((topic, payload))


@dataclass
class Clock:
    """Stands still until a test turns it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Owner:
    """An account, one of its keys, and the worker that serves them."""

    account_id: str
    api_key_id: str = field(default_factory=some_id)
    worker_id: str = field(default_factory=some_id)

    def wish(
        self, wanted: int, least: int | None = None, *, lease_id: str = "", limit: int | None = None, **fields: int
    ) -> pb.LeaseWish:
        """By default all that is wanted is needed by running requests, and nothing less is of use."""
        least = wanted if least is None else least
        return pb.LeaseWish(
            lease_id=lease_id or some_id(),
            account_id=self.account_id,
            api_key_id=self.api_key_id,
            wanted_nanos=wanted,
            least_nanos=least,
            key_monthly_limit_nanos=limit,
            **{"needed_nanos": wanted, **fields},
        )

    def charge(self, nanos: int, *, lease_id: str = "", request_id: str = "", revision: int = 1) -> pb.Charge:
        return pb.Charge(
            request_id=request_id or some_id(),
            revision=revision,
            account_id=self.account_id,
            api_key_id=self.api_key_id,
            lease_id=lease_id,
            amount_nanos=nanos,
            model_public_name="privaterouter/fast",
            price_version_id=some_id(),
            record_time=to_proto(NOW),
        )


@dataclass
class World:
    """The running service, and what a test may do to it and ask of it."""

    stub: BillingServiceStub
    admin: "asyncpg.Connection[asyncpg.Record]"
    url: str
    catalog: FakeCatalog
    bus: RecordingBus
    clock: Clock
    uptime: Uptime

    async def owner(self, posted_nanos: int = USD) -> Owner:
        """Someone with a new account that has this much."""
        before = self.catalog.included["free"]
        self.catalog.included["free"] = posted_nanos
        account_id = some_id()
        await self.stub.OpenAccount(pb.OpenAccountRequest(account_id=account_id))
        self.catalog.included["free"] = before
        return Owner(account_id)

    async def account(self, owner: Owner) -> pb.Account:
        return (await self.stub.GetBalance(pb.GetBalanceRequest(account_id=owner.account_id))).account

    async def amounts(self, owner: Owner) -> tuple[int, int]:
        """Posted and leased."""
        account = await self.account(owner)
        return account.posted_nanos, account.leased_nanos

    async def acquire(self, worker_id: str, *wishes: pb.LeaseWish) -> list[pb.LeaseGrant]:
        request = pb.AcquireLeasesRequest(worker_id=worker_id, wishes=wishes)
        grants = list((await self.stub.AcquireLeases(request)).grants)
        assert [grant.lease_id for grant in grants] == [wish.lease_id for wish in wishes]
        return grants

    async def lease(self, owner: Owner, nanos: int) -> str:
        """A lease of exactly this much."""
        (grant,) = await self.acquire(owner.worker_id, owner.wish(nanos))
        assert (grant.outcome, grant.granted_nanos) == (pb.LEASE_OUTCOME_GRANTED, nanos)
        return grant.lease_id

    async def renew(self, worker_id: str, returned: dict[str, int]) -> list[pb.LeaseState]:
        renewals = [pb.LeaseRenewal(lease_id=key, returned_nanos=nanos) for key, nanos in returned.items()]
        request = pb.RenewLeasesRequest(worker_id=worker_id, renewals=renewals)
        return list((await self.stub.RenewLeases(request)).leases)

    async def close(self, worker_id: str, spent: dict[str, int]) -> None:
        closings = [pb.LeaseClosing(lease_id=key, spent_nanos=nanos) for key, nanos in spent.items()]
        await self.stub.CloseLeases(pb.CloseLeasesRequest(worker_id=worker_id, closings=closings))

    async def settle(self, *charges: pb.Charge) -> list[str]:
        """Outcomes, by their names without the prefix."""
        answer = await self.stub.SettleCharges(pb.SettleChargesRequest(charges=charges))
        return [pb.ChargeOutcome.Name(result.outcome).removeprefix("CHARGE_OUTCOME_") for result in answer.results]

    async def expired(self, *drained: str) -> list[str]:
        """Names these workers as drained; the workers that billing names as expired."""
        answer = await self.stub.SettleCharges(pb.SettleChargesRequest(drained_worker_ids=drained))
        return list(answer.expired_worker_ids)

    async def transactions(self, owner: Owner) -> Sequence[pb.Transaction]:
        request = pb.ListTransactionsRequest(account_id=owner.account_id, limit=200)
        return (await self.stub.ListTransactions(request)).transactions

    async def spend(self, owner: Owner) -> int:
        answer = await self.stub.BatchGetKeySpend(pb.BatchGetKeySpendRequest(api_key_ids=[owner.api_key_id]))
        return sum(spend.charged_nanos for spend in answer.key_spends)

    async def house(self, kind: str) -> int:
        """What a house account has."""
        total = await self.admin.fetchval(
            "SELECT COALESCE(sum(amount_nanos), 0) FROM billing.ledger_entries WHERE account_kind = $1", kind
        )
        return int(total)

    async def pass_time(self, seconds: int) -> None:
        """Turns the clock, with a beat every second as in production."""
        for _ in range(seconds):
            self.clock.now += timedelta(seconds=1)
            await self.uptime.beat()


def outcome(grant: pb.LeaseGrant) -> str:
    return pb.LeaseOutcome.Name(grant.outcome).removeprefix("LEASE_OUTCOME_")


async def audit(admin: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[asyncpg.Record]]:
    """What of R1 to R3 does not hold, by name; empty lists mean that the books are right."""
    return {name: await admin.fetch(query) for name, query in AUDIT.items()}


AUDIT = {
    "R1: the entries of a transaction sum to 0": """
        SELECT transaction_id FROM billing.ledger_entries GROUP BY transaction_id HAVING sum(amount_nanos) <> 0
    """,
    "R1: every transaction has entries": """
        SELECT t.id FROM billing.ledger_transactions t
        WHERE NOT EXISTS (SELECT FROM billing.ledger_entries e WHERE e.transaction_id = t.id)
    """,
    "R2: posted is the sum of an account's entries": """
        SELECT a.account_id, a.posted_nanos, sum(e.amount_nanos) FROM billing.accounts a
        LEFT JOIN billing.ledger_entries e USING (account_id)
        GROUP BY a.account_id HAVING a.posted_nanos <> COALESCE(sum(e.amount_nanos), 0)
    """,
    "R3: leased of an account is the remainders of its leases": """
        SELECT a.account_id, a.leased_nanos, sum(l.granted_nanos - l.returned_nanos - l.settled_nanos)
        FROM billing.accounts a LEFT JOIN billing.leases l USING (account_id)
        GROUP BY a.account_id
        HAVING a.leased_nanos <> COALESCE(sum(l.granted_nanos - l.returned_nanos - l.settled_nanos), 0)
    """,
    "R3: leased of a key's month is the remainders of its leases": """
        SELECT k.api_key_id, k.leased_nanos, sum(l.granted_nanos - l.returned_nanos - l.settled_nanos)
        FROM billing.key_months k LEFT JOIN billing.leases l USING (api_key_id, month)
        GROUP BY k.api_key_id, k.month, k.leased_nanos
        HAVING k.leased_nanos <> COALESCE(sum(l.granted_nanos - l.returned_nanos - l.settled_nanos), 0)
    """,
    "R2: charged of a key's month is the sum of its charges": """
        SELECT api_key_id, month, k.charged_nanos, t.charged_nanos FROM billing.key_months k
        FULL JOIN (SELECT t.api_key_id, COALESCE(l.month, date_trunc('month', t.create_time, 'UTC')::date) AS month,
                          -sum(t.amount_nanos) AS charged_nanos
                   FROM billing.ledger_transactions t LEFT JOIN billing.leases l
                       ON (l.lease_id, l.account_id, l.api_key_id) = (t.lease_id, t.account_id, t.api_key_id)
                   WHERE kind = 'charge' GROUP BY 1, 2) t USING (api_key_id, month)
        WHERE COALESCE(k.charged_nanos, 0) <> COALESCE(t.charged_nanos, 0)
    """,
    "the sums of the ledger are those of its transactions": """
        SELECT account_id, kind, s.transactions, t.transactions, s.amount_nanos, t.amount_nanos
        FROM billing.ledger_sums s
        FULL JOIN (SELECT account_id, kind, count(*) AS transactions, sum(amount_nanos) AS amount_nanos
                   FROM billing.ledger_transactions GROUP BY 1, 2) t USING (account_id, kind)
        WHERE (s.transactions, s.amount_nanos) IS DISTINCT FROM (t.transactions, t.amount_nanos::bigint)
    """,
    "available is never negative": """
        SELECT account_id, posted_nanos, leased_nanos FROM billing.accounts WHERE posted_nanos < leased_nanos
    """,
}
