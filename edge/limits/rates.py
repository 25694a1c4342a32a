"""Requests a minute, for an account and for a key, over all edges."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateAnswer:
    """Whether a request may go on, and the numbers for the `x-ratelimit-*-requests` headers.

    They describe the bucket that refused, else the one with the least left.
    """

    allowed: bool
    limit: int
    """Size of the bucket: requests a minute."""
    remaining: int
    reset_s: float
    """Until the bucket is full again."""
    retry_after_s: float
    """Until a request may succeed; 0 where this one was allowed."""


class Rates:
    """The rate limits of `/v1`."""

    async def check(self, account_id: str, rpm: int, api_key_id: str, key_rpm: int | None) -> RateAnswer:
        """Takes one token from the account's bucket and, where it has a limit, from the key's: both or neither."""
        raise NotImplementedError
