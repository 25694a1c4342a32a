"""Keeps what the edge remembers up to date: hints from the bus within a second, polls as the guarantee."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import ApiKeys
from edge.lookup.catalogue import Catalogue
from edge.tasks import Tasks
from kit.bus import Bus
from kit.errors import RemoteError
from kit.logs import get_logger
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

API_KEYS = "api_keys"
"""Payload: `user_id`, and `api_key_id` unless all keys of the user have changed."""
ACCOUNTS = "accounts"
"""Payload: `account_id`, and `kind`: `changed` or `recall`."""
CATALOG = "catalog"

POLL_S = 2.0
REPORT_S = 10.0
_PAGE = 1_000
"""Most changes in one answer, by the contract."""

log = get_logger()


class Money(Protocol):
    """What the money path wants to hear of: see MoneyPath."""

    def recall(self, account_id: str) -> None:
        """The account's free credit is wanted elsewhere."""

    def forget_refusals(self, account_id: str) -> None:
        """The account's credit or limits have changed."""


class Invalidation:
    """Listens to the bus and polls, and tells the caches and the money path."""

    def __init__(
        self,
        bus: Bus,
        auth: AuthServiceStub,
        billing: BillingServiceStub,
        *,
        api_keys: ApiKeys,
        accounts: Accounts,
        catalogue: Catalogue,
        money: Money,
        poll_s: float = POLL_S,
        report_s: float = REPORT_S,
    ) -> None:
        self._bus = bus
        self._auth = auth
        self._billing = billing
        self._api_keys = api_keys
        self._accounts = accounts
        self._catalogue = catalogue
        self._money = money
        self._poll_s = poll_s
        self._report_s = report_s
        self._keys_at = -1
        self._accounts_at = -1
        self._wake = {topic: asyncio.Event() for topic in (API_KEYS, ACCOUNTS, CATALOG)}
        self._tasks = Tasks()

    async def start(self) -> None:
        """Loads the catalogue, where catalog answers, and begins to listen and poll."""
        await self._catalogue.refresh()
        self._tasks.start("bus", lambda: self._bus.subscribe((API_KEYS, ACCOUNTS, CATALOG), self._hear))
        self._tasks.start("poll.api_keys", lambda: self._poll(API_KEYS, self._poll_keys))
        self._tasks.start("poll.accounts", lambda: self._poll(ACCOUNTS, self._poll_accounts))
        self._tasks.start("poll.catalog", lambda: self._poll(CATALOG, self._catalogue.refresh))
        self._tasks.start("report.uses", self._report)

    async def close(self) -> None:
        """Ends listening and polling."""
        await self._tasks.close()

    async def _hear(self, topic: str, payload: dict[str, str]) -> None:
        if topic == API_KEYS:
            self._key_changed(payload.get("api_key_id", ""), payload["user_id"], None)
        elif topic == ACCOUNTS and payload.get("kind") == "recall":
            self._money.recall(payload["account_id"])
        elif topic == ACCOUNTS:
            self._account_changed(payload["account_id"], None)
        elif topic == CATALOG:
            self._wake[CATALOG].set()
        else:
            # The bus was away, and hints may have been missed.
            for event in self._wake.values():
                event.set()

    async def _poll(self, topic: str, ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            self._wake[topic].clear()
            try:
                await ask()
            except RemoteError as error:
                log.warning("poll_failed", topic=topic, error=str(error))
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._wake[topic].wait()
            except TimeoutError:
                pass

    async def _poll_keys(self) -> None:
        while True:
            answer = await self._auth.ListRevocations(auth_pb2.ListRevocationsRequest(after_sequence=self._keys_at))
            if self._keys_at < 0 or answer.last_sequence < self._keys_at:
                # What was remembered before we knew where the list ends may have changed meanwhile.
                self._api_keys.clear()
                self._keys_at = answer.last_sequence
            for change in answer.revocations:
                self._key_changed(change.api_key_id, change.user_id, change.sequence)
                self._keys_at = change.sequence
            if len(answer.revocations) < _PAGE:
                self._keys_at = answer.last_sequence
                return

    async def _poll_accounts(self) -> None:
        while True:
            answer = await self._billing.ListAccountChanges(
                billing_pb2.ListAccountChangesRequest(after_sequence=self._accounts_at)
            )
            if self._accounts_at < 0 or answer.last_sequence < self._accounts_at:
                self._accounts.clear()
                self._accounts_at = answer.last_sequence
            for change in answer.changes:
                self._account_changed(change.account_id, change.sequence)
                self._accounts_at = change.sequence
            if len(answer.changes) < _PAGE:
                self._accounts_at = answer.last_sequence
                return

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._report_s)
            await self._api_keys.report_uses()

    def _key_changed(self, api_key_id: str, user_id: str, sequence: int | None) -> None:
        self._api_keys.drop(api_key_id, user_id, sequence)
        self._money.forget_refusals(user_id)

    def _account_changed(self, account_id: str, sequence: int | None) -> None:
        self._accounts.drop(account_id, sequence)
        self._money.forget_refusals(account_id)
