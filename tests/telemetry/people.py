"""Customers and an administrator of the observed system, with things that must not be seen anywhere."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from google.protobuf.field_mask_pb2 import FieldMask

from kit import client
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from tests.support.waiting import eventually
from tests.telemetry.observed import Observed

PASSWORD = "canarypassword-correct-horse-91be"


@dataclass(frozen=True)
class Person:
    """Somebody with a session, and with a key for `/v1`."""

    email: str
    user_id: str
    session: dict[str, str]
    api_key_id: str
    secret: str
    key: dict[str, str]
    """The headers with it."""


class People:
    """Makes them."""

    def __init__(self, system: Observed) -> None:
        self.http = httpx.AsyncClient(base_url=system.api_url, timeout=30)
        environment = system.services.environment
        self._channels = [client.channel(environment[name]) for name in ("AUTH_ADDR", "BILLING_ADDR")]
        self._auth, self.billing = AuthServiceStub(self._channels[0]), BillingServiceStub(self._channels[1])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        for channel in self._channels:
            await channel.close()

    async def person(self, name: str, **key: Any) -> Person:
        """Somebody new, on a plan that allows much; `key` are fields of the API key."""
        email = f"canaryemail-{name}-{uuid4().hex[:8]}@example.com"
        answer = await self.http.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        self.http.cookies.clear()
        user_id, session = answer.json()["user"]["id"], {"authorization": f"Bearer {answer.json()['access_token']}"}

        async def opened() -> bool:
            return (await self.http.get("/api/billing/balance", headers=session)).is_success

        await eventually(opened, within_s=20, what="the account")
        await self.billing.ChangePlan(billing_pb2.ChangePlanRequest(account_id=user_id, plan_id="team"))
        made = await self.http.post("/api/keys", json={"name": "k", **key}, headers=session)
        assert made.status_code == 201, made.text
        secret = made.json()["key"]
        headers = {"authorization": f"Bearer {secret}"}
        return Person(email, user_id, session, made.json()["api_key"]["id"], secret, headers)

    async def admin(self, name: str) -> Person:
        """Somebody who may do everything."""
        person = await self.person(name)
        change = auth_pb2.User(id=person.user_id, role=auth_pb2.USER_ROLE_ADMIN)
        await self._auth.UpdateUser(auth_pb2.UpdateUserRequest(user=change, update_mask=FieldMask(paths=["role"])))
        return person

    async def impoverish(self, person: Person) -> None:
        """Takes all credit away."""
        request = billing_pb2.BatchGetAccountsRequest(account_ids=[person.user_id])
        (account,) = (await self.billing.BatchGetAccounts(request)).accounts
        await self.billing.AdjustBalance(
            billing_pb2.AdjustBalanceRequest(
                account_id=person.user_id,
                amount_nanos=-account.posted_nanos,
                reason="a test",
                idempotency_key=uuid4().hex,
            )
        )
