"""Which plan an account is on, remembered for 30 s and forgotten as soon as it changes."""


class Accounts:
    """Plans of accounts. `cached` first; `plan_id` where it knows nothing."""

    def cached(self, account_id: str) -> str | None:
        """The plan's id, if known and not too old; a look-up in a dict."""
        raise NotImplementedError

    async def plan_id(self, account_id: str) -> str:
        """The plan's id. EdgeError service_unavailable where it is not opened yet or billing cannot be asked."""
        raise NotImplementedError
