"""Shows a caller where its rate limit stands, as OpenAI's API does."""

import math
from collections.abc import MutableMapping

from edge.errors import EdgeError
from edge.limits.rates import RateAnswer


def show_rate(headers: MutableMapping[str, str], rate: RateAnswer) -> None:
    """Adds the `x-ratelimit-*-requests` headers."""
    headers["x-ratelimit-limit-requests"] = str(rate.limit)
    headers["x-ratelimit-remaining-requests"] = str(max(0, rate.remaining))
    headers["x-ratelimit-reset-requests"] = duration(rate.reset_s)


def too_many(rate: RateAnswer) -> EdgeError:
    """The answer to one request too many."""
    wait_s = max(1, math.ceil(rate.retry_after_s))
    return EdgeError(
        "rate_limit_exceeded",
        f"You have used up your {rate.limit} requests a minute. Try again in {wait_s} s.",
        headers={"retry-after": str(wait_s)},
    )


def duration(seconds: float) -> str:
    """A time span as OpenAI writes it: `350ms`, `12s`, `1m30s`."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    whole = math.ceil(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60}s"
