"""Why a request gets no hold, in words that say what to do next; and for how long we remember it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from edge.errors import EdgeError
from kit.money import format_usd


def insufficient_credits(posted_nanos: int, least_nanos: int) -> EdgeError:
    """The account has too little, also without its running requests."""
    return EdgeError("insufficient_credits", _too_little(posted_nanos, least_nanos))


@lru_cache(1_000)
def _too_little(posted_nanos: int, least_nanos: int) -> str:
    """Kept, since who is refused often tries again at once, and a refusal shall be cheap."""
    return (
        f"Your balance is ${format_usd(max(posted_nanos, 0))}, and the shortest useful answer to this request may cost"
        f" ${format_usd(least_nanos)}. Top up, or send a shorter prompt."
    )


def key_limit_reached(monthly_limit_nanos: int | None) -> EdgeError:
    """The key's month has too little left."""
    limit = f"${format_usd(monthly_limit_nanos)} " if monthly_limit_nanos is not None else ""
    return EdgeError(
        "key_limit_reached",
        f"This API key's monthly limit {limit}leaves too little for this request."
        " Raise the limit, use another key, or wait for the next month (UTC).",
    )


def credits_in_use() -> EdgeError:
    """The account would have enough, but its own running requests hold it."""
    return EdgeError(
        "credits_in_use",
        "Your running requests hold the rest of your balance. Try again when one of them has ended, or top up.",
        headers={"retry-after": "1"},
    )


def not_opened() -> EdgeError:
    """The account does not exist yet."""
    return EdgeError(
        "service_unavailable",
        "Your account is still being opened. Try again in a moment.",
        headers={"retry-after": "1"},
    )


def broken() -> EdgeError:
    """Our fault."""
    return EdgeError("internal_error", "Something went wrong on our side. Try again; it has been logged.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 402 that is remembered for a moment."""

    error: Callable[[], EdgeError]
    least_nanos: int
    monthly_limit_nanos: int | None
    until_s: float

    def covers(self, least_nanos: int, monthly_limit_nanos: int | None, now_s: float) -> bool:
        """Whether it holds for a request that needs so much: as much or more, under the same limit, not too late."""
        return (
            now_s < self.until_s and least_nanos >= self.least_nanos and monthly_limit_nanos == self.monthly_limit_nanos
        )
