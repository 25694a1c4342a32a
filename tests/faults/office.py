"""Makes customers for a run: sign-up, keys, plan and balance, straight at the services and past all faults."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

from kit import client
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tests.faults.cluster import Cluster
from tests.support.waiting import eventually

MODEL = "privaterouter/fast"
INPUT_NANOS_PER_MTOK, OUTPUT_NANOS_PER_MTOK = 100_000_000, 300_000_000
"""The seeded price of that model."""
PLAN = "team"


@dataclass(frozen=True)
class Customer:
    """Somebody with a balance and some keys."""

    account_id: str
    start_nanos: int
    """The balance, before the first request."""
    secrets: list[str] = field(default_factory=list)
    api_key_ids: list[str] = field(default_factory=list)


class Office:
    """Stubs of the services, and what a run needs of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._channels = {name: client.channel(cluster.address(name), timeout_s=20) for name in ("auth", "billing")}
        self._channels["catalog"] = client.channel(cluster.address("catalog"))
        self.auth = AuthServiceStub(self._channels["auth"])
        self.billing = BillingServiceStub(self._channels["billing"])
        self.catalog = CatalogServiceStub(self._channels["catalog"])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def lift_rate_limits(self) -> None:
        """Runs are about money: the plan allows any number of requests."""
        await self.catalog.UpdatePlan(
            catalog_pb2.UpdatePlanRequest(
                plan=catalog_pb2.Plan(id=PLAN, rpm=1_000_000), update_mask=FieldMask(paths=["rpm"])
            )
        )

    async def customer(self, balance_nanos: int, *, keys: int = 1, monthly_limit_nanos: int | None = None) -> Customer:
        """Somebody new with exactly this balance; the account is open when this returns."""
        email = f"{uuid4().hex}@example.com"
        signed_up = await self.auth.SignUp(
            auth_pb2.SignUpRequest(email=email, password="correct-horse-battery-staple", name="A customer"), timeout=30
        )
        account_id = signed_up.user.id

        async def opened() -> bool:
            found = await self.billing.BatchGetAccounts(billing_pb2.BatchGetAccountsRequest(account_ids=[account_id]))
            return len(found.accounts) == 1

        await eventually(opened, within_s=20, what="the account")
        changed = await self.billing.ChangePlan(billing_pb2.ChangePlanRequest(account_id=account_id, plan_id=PLAN))
        await self.billing.AdjustBalance(
            billing_pb2.AdjustBalanceRequest(
                account_id=account_id,
                amount_nanos=balance_nanos - changed.account.posted_nanos,
                reason="a run",
                idempotency_key=uuid4().hex,
            )
        )
        made = Customer(account_id, balance_nanos)
        for _ in range(keys):
            wish = auth_pb2.CreateApiKeyRequest(user_id=account_id, name="a run")
            if monthly_limit_nanos is not None:
                wish.monthly_limit_nanos = monthly_limit_nanos
            key = await self.auth.CreateApiKey(wish)
            made.secrets.append(key.secret)
            made.api_key_ids.append(key.api_key.id)
        return made
