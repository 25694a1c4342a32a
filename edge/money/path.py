"""The edge's half of the money path: hold before a request, journal while it runs, charge when it ends."""

from edge.money.holds import Hold
from edge.money.records import Record


class MoneyPath:
    """Holds, leases and usage records of this worker.

    hold = path.try_hold(...) or await path.hold(...)
    path.open(hold, record)             before forwarding; else path.release(hold)
    await path.finish(hold, record)     before the last byte goes out, whatever the end was
    """

    def try_hold(self, *, account_id: str, api_key_id: str, full_nanos: int) -> Hold | None:
        """A hold of `full_nanos` from free credit, or None; microseconds, asks nobody."""
        raise NotImplementedError

    async def hold(
        self,
        *,
        account_id: str,
        api_key_id: str,
        monthly_limit_nanos: int | None,
        full_nanos: int,
        least_nanos: int,
    ) -> Hold:
        """A hold of `least_nanos` to `full_nanos` (look at its `nanos`), asking billing where free credit is short.

        Raises EdgeError insufficient_credits, key_limit_reached, credits_in_use or service_unavailable.
        A hold of 0 needs no lease and is always given.
        """
        raise NotImplementedError

    def release(self, hold: Hold) -> None:
        """Gives all of a hold back: nothing was forwarded, so there is no record."""
        raise NotImplementedError

    def open(self, hold: Hold, record: Record) -> None:
        """Journals the open record with this loop tick's transaction and begins to report it every second.

        The record is read again for every report: the handler keeps its tokens and cost up to date.
        Raises EdgeError service_unavailable where the journal cannot be written or is full.
        """
        raise NotImplementedError

    async def finish(self, hold: Hold, record: Record) -> None:
        """Journals the final record; the last byte may go out then. Never fails; a second call does nothing.

        A cost beyond the hold is moved to `uncharged_nanos`. The rest of the hold becomes free again.
        """
        raise NotImplementedError

    def recall(self, account_id: str) -> None:
        """Gives back the account's free credit: it is wanted elsewhere."""
        raise NotImplementedError

    def forget_refusals(self, account_id: str) -> None:
        """Asks billing anew for this account, whose credit or limits have changed."""
        raise NotImplementedError

    async def start(self) -> None:
        """Opens the journal and begins to renew, ship and adopt. OSError where the journal cannot be made."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ships everything and gives the leases back, in bounded time; what is left another worker adopts."""
        raise NotImplementedError

    async def ready(self) -> bool:
        """Whether new requests can be held and journaled."""
        raise NotImplementedError
