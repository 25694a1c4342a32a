"""The limits of `/v1`, for an account (by its plan) and for a key, over all edges.

Requests a minute and tokens a minute are token buckets that fill evenly, requests at the same time are slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket, Limit, RateAnswer, Slots, Taken, state, summary
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Plan

__all__ = ["Admission", "RateAnswer", "Rates", "Refusal"]

WINDOW_S = 60
REQUESTS: Final = "requests a minute"
TOKENS: Final = "tokens a minute"
AT_ONCE: Final = "requests at the same time"
PLAN: Final = "plan"
KEY: Final = "API key"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that refused; of several, the one with the longest wait."""

    what: str
    """REQUESTS, TOKENS or AT_ONCE."""
    whose: str
    """PLAN or KEY."""
    limit: int
    retry_after_s: float


@dataclass(slots=True)
class Admission:
    """Whether a request may go on, where its limits stand, and what must be given back when it ends."""

    requests: RateAnswer
    tokens: RateAnswer | None = None
    """None: no limit of tokens a minute."""
    refusal: Refusal | None = None
    """None: it may go on."""
    buckets: Sequence[Bucket] = ()
    """Of tokens: the difference to what it really uses is settled at the end."""
    slots: Sequence[Slots] = ()
    member: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.refusal is None


class Rates:
    """The limits of `/v1`."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def admit(self, caller: Caller, plan: Plan, *, request_id: str, tokens: int) -> Admission:
        """Takes from all limits that the caller has, or from none; one call for all requests of a tick of the loop.

        `tokens` are those that the request is expected to use at most: its estimated prompt and its output limit. Of a
        bucket that is smaller it takes all, since it could never run otherwise. `release` what was allowed.
        """
        limits = _requests(caller, plan)
        buckets = _tokens(caller, plan, tokens)
        slots = _slots(caller, plan)
        limits += (*buckets, *slots)
        taken = await self._buckets.take(*limits, member=request_id if slots else "")
        admission = _admission(limits, taken, tokens=len(buckets), slots=len(slots))
        if taken.allowed and (buckets or slots):
            admission.buckets, admission.slots, admission.member = buckets, slots, request_id
        return admission

    async def count(self, caller: Caller, plan: Plan) -> Admission:
        """Counts a request that uses no tokens and ends at once; there is nothing to release."""
        limits = _requests(caller, plan)
        return _admission(limits, await self._buckets.take(*limits))

    def release(self, admission: Admission, used_tokens: int) -> None:
        """The request has ended, however it did; only notes it, and Valkey hears soon. A second call does nothing.

        What it took of its tokens and did not use goes back; what it used beyond that is taken, but no bucket becomes
        less than empty. A bucket that has filled up meanwhile keeps no more than it holds.
        """
        buckets, admission.buckets = admission.buckets, ()
        slots, admission.slots = admission.slots, ()
        for bucket in buckets:
            self._buckets.give(bucket, used_tokens)
        if slots:
            self._buckets.free(slots, admission.member)


def _requests(caller: Caller, plan: Plan) -> tuple[Limit, ...]:
    account = Bucket(f"rpm:account:{caller.account_id}", plan.rpm, WINDOW_S)
    if caller.rpm_limit is None:
        return (account,)
    return (account, Bucket(f"rpm:key:{caller.api_key_id}", caller.rpm_limit, WINDOW_S))


def _tokens(caller: Caller, plan: Plan, tokens: int) -> tuple[Bucket, ...]:
    if plan.tpm is None and caller.tpm_limit is None:
        return ()
    named = ((f"tpm:account:{caller.account_id}", plan.tpm), (f"tpm:key:{caller.api_key_id}", caller.tpm_limit))
    return tuple(Bucket(name, size, WINDOW_S, tokens, returns=True) for name, size in named if size is not None)


def _slots(caller: Caller, plan: Plan) -> tuple[Slots, ...]:
    if plan.max_in_flight is None and caller.max_in_flight is None:
        return ()
    named = (
        (f"running:account:{caller.account_id}", plan.max_in_flight),
        (f"running:key:{caller.api_key_id}", caller.max_in_flight),
    )
    return tuple(Slots(name, size) for name, size in named if size is not None)


def _admission(limits: Sequence[Limit], taken: Taken, *, tokens: int = 0, slots: int = 0) -> Admission:
    """`tokens` and `slots` say how many limits of these kinds there are, behind those of requests and in this order."""
    allowed, levels = taken
    end = len(limits) - slots
    begin = end - tokens
    return Admission(
        requests=summary(limits[:begin], Taken(allowed, levels[:begin])),
        tokens=summary(limits[begin:end], Taken(allowed, levels[begin:end])) if tokens else None,
        refusal=None if allowed else _refusal(limits, taken),
    )


def _refusal(limits: Sequence[Limit], taken: Taken) -> Refusal:
    states = [(limit, state(limit, level, taken=False)) for limit, level in zip(limits, taken.levels, strict=True)]
    limit, worst = max(
        ((limit, each) for limit, each in states if not each.allowed), key=lambda pair: pair[1].retry_after_s
    )
    kind, whose, _ = limit.name.split(":", 2)
    return Refusal(
        what={"rpm": REQUESTS, "tpm": TOKENS, "running": AT_ONCE}[kind],
        whose=PLAN if whose == "account" else KEY,
        limit=worst.limit,
        retry_after_s=worst.retry_after_s,
    )
