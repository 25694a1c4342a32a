"""Shows a caller where its rate limit stands, as OpenAI's API does."""

import math
from collections.abc import MutableMapping

from edge.errors import EdgeError
from edge.limits.rates import AT_ONCE, TOKENS, Admission, RateAnswer, Refusal


def show_limits(headers: MutableMapping[str, str], admission: Admission) -> None:
    """Adds the `x-ratelimit-*-requests` headers and, where tokens a minute are limited, the `-tokens` ones."""
    _show(headers, "requests", admission.requests)
    if admission.tokens is not None:
        _show(headers, "tokens", admission.tokens)


def refused(refusal: Refusal) -> EdgeError:
    """The answer to a request that was not admitted: which limit, whose, and when to try again."""
    wait_s = max(1, math.ceil(refusal.retry_after_s))
    allows = f"Your {refusal.whose} allows {refusal.limit} {refusal.what}"
    if refusal.what == AT_ONCE:
        message = f"{allows}, and as many are running. Try again when one of them has ended."
    elif refusal.what == TOKENS:
        message = (
            f"{allows}, and fewer are left than this request may use. Try again in {wait_s} s, or give a lower"
            " limit for the answer."
        )
    else:
        message = f"{allows}, and they are used up. Try again in {wait_s} s."
    return EdgeError("rate_limit_exceeded", message, headers={"retry-after": str(wait_s)})


def _show(headers: MutableMapping[str, str], what: str, rate: RateAnswer) -> None:
    headers[f"x-ratelimit-limit-{what}"] = str(rate.limit)
    headers[f"x-ratelimit-remaining-{what}"] = str(max(0, rate.remaining))
    headers[f"x-ratelimit-reset-{what}"] = duration(rate.reset_s)


def duration(seconds: float) -> str:
    """A time span as OpenAI writes it: `350ms`, `12s`, `1m30s`."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    whole = math.ceil(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60}s"
