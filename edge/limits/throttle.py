"""Slows down those who guess: attempts for each subject in a window of time."""

from edge.limits.rates import RateAnswer


class Throttle:
    """Limits for log-in and sign-up."""

    async def check(self, name: str, subject: str, *, limit: int, window_s: int) -> RateAnswer:
        """Takes one of `limit` attempts that `subject` (an e-mail, an address) has in `window_s` for `name`."""
        raise NotImplementedError
