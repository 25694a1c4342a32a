"""All pots and leases of this worker."""

from collections.abc import Iterator

from edge.money.leases import Lease
from edge.money.pace import Pace
from edge.money.pots import Pot


class Book:
    """Pots by account and key; leases by id, those too that are ended and not yet forgotten."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._accounts: dict[str, dict[str, Pot]] = {}
        self.leases: dict[str, Lease] = {}
        self.ended: dict[str, Lease] = {}
        """Those of them that are out of use."""

    def find(self, account_id: str, api_key_id: str) -> Pot | None:
        """The key's pot, if there is one."""
        pots = self._accounts.get(account_id)
        return pots.get(api_key_id) if pots else None

    def pot(self, account_id: str, api_key_id: str) -> Pot:
        """The key's pot, made where there is none."""
        pots = self._accounts.setdefault(account_id, {})
        if (pot := pots.get(api_key_id)) is None:
            pot = pots[api_key_id] = Pot(account_id, api_key_id)
        return pot

    def pots(self, account_id: str) -> list[Pot]:
        """The account's pots."""
        return list(self._accounts.get(account_id, {}).values())

    def all_pots(self) -> Iterator[Pot]:
        """Every pot; the book may be changed meanwhile."""
        for pots in list(self._accounts.values()):
            yield from list(pots.values())

    def begin(self, pot: Pot, lease_id: str, now_s: float) -> Lease:
        """A new lease without credit, in use from now on."""
        lease = Lease(lease_id, account_id=pot.account_id, api_key_id=pot.api_key_id, now_s=now_s, pace=self._pace)
        self.leases[lease_id] = lease
        pot.lease = lease
        return lease

    def end(self, lease: Lease) -> None:
        """Takes a lease out of use; running requests go on, and it is closed after the last of them."""
        lease.ended = True
        self.ended[lease.id] = lease
        pot = self.find(lease.account_id, lease.api_key_id)
        if pot and pot.lease is lease:
            pot.lease = None

    def forget(self, lease: Lease) -> None:
        """Drops a lease of which nothing more is to be done."""
        self.leases.pop(lease.id, None)
        self.ended.pop(lease.id, None)

    def prune(self, now_s: float) -> None:
        """Ends leases without use and drops what is empty or out of date."""
        for account_id, pots in list(self._accounts.items()):
            for api_key_id, pot in list(pots.items()):
                lease = pot.lease
                if pot.refusal and now_s >= pot.refusal.until_s:
                    pot.refusal = None
                if lease and not pot.supply and not lease.held and now_s - lease.used_s >= self._pace.idle_s:
                    self.end(lease)
                if pot.empty:
                    del pots[api_key_id]
            if not pots:
                del self._accounts[account_id]
