"""Requests a minute, for an account and for a key, over all edges."""

from edge.limits.buckets import Bucket, Buckets, RateAnswer

__all__ = ["RateAnswer", "Rates"]

WINDOW_S = 60


class Rates:
    """The rate limits of `/v1`."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def check(self, account_id: str, rpm: int, api_key_id: str, key_rpm: int | None) -> RateAnswer:
        """Takes one token from the account's bucket and, where it has a limit, from the key's: both or neither."""
        account = Bucket(f"rpm:account:{account_id}", rpm, WINDOW_S)
        if key_rpm is None:
            return await self._buckets.take(account)
        return await self._buckets.take(account, Bucket(f"rpm:key:{api_key_id}", key_rpm, WINDOW_S))
