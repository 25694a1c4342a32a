"""Slows down those who guess: attempts for each subject in a window of time."""

from hashlib import sha256

from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket, RateAnswer, summary


class Throttle:
    """Limits for log-in and sign-up."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def check(self, name: str, subject: str, *, limit: int, window_s: int) -> RateAnswer:
        """Takes one of `limit` attempts that `subject` (an e-mail, an address) has in `window_s` for `name`.

        Attempts come back evenly: one every `window_s / limit`.
        """
        # Hashed: a list of e-mails has no place in a cache.
        digest = sha256(subject.strip().lower().encode()).hexdigest()[:32]
        bucket = Bucket(f"throttle:{name}:{digest}", limit, window_s)
        return summary([bucket], await self._buckets.take(bucket))
