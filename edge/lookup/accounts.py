"""Which plan an account is on, remembered for 30 s and forgotten as soon as it changes."""

import time
from collections.abc import Callable, Sequence

from edge.batch import Batcher
from edge.errors import EdgeError, from_remote
from edge.lookup.cache import Cache
from kit.errors import RemoteError
from kit.logs import get_logger
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

TTL_S = 30.0
MAX_KNOWN = 100_000
_TRIES = 3

log = get_logger()

_Answer = tuple[str | None, int]
"""The plan's id, None for an account that is not opened; and the last change that this reflects."""


class Accounts:
    """Plans of accounts. `cached` first; `plan_id` where it knows nothing."""

    def __init__(self, billing: BillingServiceStub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._billing = billing
        self._clock = clock
        self._known: Cache[str] = Cache(ttl_s=TTL_S, most=MAX_KNOWN, clock=clock)
        self.hits = 0
        """Look-ups that were answered from here, and below those for which billing was asked."""
        self.misses = 0
        self._ask: Batcher[str, _Answer] = Batcher(self._get_all, most=1_000, in_flight=4)

    def cached(self, account_id: str) -> str | None:
        """The plan's id, if known and not too old; a look-up in a dict."""
        known = self._known.get(account_id)
        if known is not None:
            self.hits += 1
        return known

    async def plan_id(self, account_id: str) -> str:
        """The plan's id. EdgeError service_unavailable where it is not opened yet or billing cannot be asked."""
        if (known := self.cached(account_id)) is not None:
            return known
        self.misses += 1
        attempt = 0
        while True:
            attempt += 1
            asked_s = self._clock()
            plan, sequence = await self._ask(account_id)
            if plan is None:
                raise EdgeError(
                    "service_unavailable",
                    "Your account is still being opened. Try again in a moment.",
                    headers={"retry-after": "1"},
                )
            if not self._known.outdated((account_id,), asked_s=asked_s, sequence=sequence):
                self._known.put(account_id, plan, about=(account_id,))
            elif attempt < _TRIES:
                continue
            # One that changes faster than we can ask is answered, but not kept.
            return plan

    def drop(self, account_id: str, sequence: int | None = None) -> None:
        """Forgets an account that has changed; `sequence` is the number of the change, where it is known."""
        self._known.drop(account_id, sequence)

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()

    @property
    def entries(self) -> int:
        """How many answers are kept."""
        return len(self._known)

    async def close(self) -> None:
        """Ends the calls under way."""
        await self._ask.close()

    async def _get_all(self, account_ids: list[str]) -> Sequence[_Answer]:
        request = billing_pb2.BatchGetAccountsRequest(account_ids=dict.fromkeys(account_ids))
        try:
            answer = await self._billing.BatchGetAccounts(request)
        except RemoteError as error:
            log.warning("accounts_not_read", accounts=len(request.account_ids), error=str(error))
            raise from_remote(error) from error
        plans = {account.account_id: account.plan_id for account in answer.accounts}
        return [(plans.get(account_id), answer.change_sequence) for account_id in account_ids]
