"""The process's own limits: bounded in memory, right in time, and of one mind with the script."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.limits import local as module
from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket, Limit, RateAnswer, Slots, Taken, summary
from edge.limits.local import LocalLimits


def take(local: LocalLimits, bucket: Bucket) -> RateAnswer:
    return summary([bucket], local.take([bucket]))


def test_a_token_comes_back_in_its_time() -> None:
    now_us = 0
    local = LocalLimits(lambda: now_us)
    bucket = Bucket("b", 2, 60)
    assert take(local, bucket) == RateAnswer(allowed=True, limit=2, remaining=1, reset_s=30.0, retry_after_s=0.0)
    assert take(local, bucket).remaining == 0
    now_us = 10_000_000
    assert take(local, bucket) == RateAnswer(allowed=False, limit=2, remaining=0, reset_s=50.0, retry_after_s=20.0)
    now_us = 30_000_000
    assert take(local, bucket).allowed


def test_many_tokens_come_back_in_their_time() -> None:
    now_us = 0
    local = LocalLimits(lambda: now_us)
    bucket = Bucket("b", 100_000, 60, amount=75_000)
    assert take(local, bucket) == RateAnswer(
        allowed=True, limit=100_000, remaining=25_000, reset_s=45.0, retry_after_s=0.0
    )
    assert take(local, bucket) == RateAnswer(
        allowed=False, limit=100_000, remaining=25_000, reset_s=45.0, retry_after_s=30.0
    )
    now_us = 30_000_000
    assert take(local, bucket).remaining == 0


def test_the_process_keeps_a_bounded_number_of_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LOCAL_BUCKETS", 10)
    local = LocalLimits(lambda: 0)
    for number in range(100):
        assert take(local, Bucket(f"b{number}", 2, 60)).allowed
        local.give(Bucket(f"c{number}", 2, 60), -10)
    assert len(local._full_at) <= 10


def test_slots_without_members_are_forgotten() -> None:
    local = LocalLimits(lambda: 0)
    slots = Slots("s", 1)
    assert local.take([slots], "a") == Taken(True, [1])
    assert local.take([slots], "b") == Taken(False, [1])
    local.leave("s", "b")
    local.leave("s", "a")
    local.leave("s", "a")
    assert local.running == {}


# Windows so long that no token comes back while the test runs.
names = st.integers(0, 3)
amounts = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(names, min_size=1, max_size=3, unique=True), amounts),
        st.tuples(st.just("give"), names, st.integers(0, 20)),
        st.tuples(st.just("free"), st.integers(0, 30), st.just(0)),
    ),
    max_size=30,
)


@given(steps=steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_requests_get_the_same_answers_in_valkey_and_in_the_process(
    valkey: str, steps: list[tuple[str, Any, int]]
) -> None:
    asyncio.run(compare(valkey, steps))


def is_nearly_enough(limit: Limit, level: int) -> bool:
    """Whether a limit will allow in a minute what it refuses now."""
    return isinstance(limit, Bucket) and 0 < limit.cost_us - (limit.full_us - level) < 60_000_000


async def compare(url: str, steps: list[tuple[str, Any, int]]) -> None:
    buckets, local, prefix = Buckets(url), LocalLimits(lambda: 0), uuid4().hex

    def limit(number: int, amount: int) -> Limit:
        if number >= 2:
            return Slots(f"{prefix}{number}", number - 1)
        return Bucket(f"{prefix}{number}", (10, 7)[number], 10**6, amount, returns=True)

    try:
        for place, (kind, what, amount) in enumerate(steps):
            if kind == "take":
                limits = [limit(number, amount) for number in what]
                here = local.take(limits, str(place))
                there = await buckets.take(*limits, member=str(place))
                if there.allowed and any(map(is_nearly_enough, limits, here.levels)):
                    # Time stands still here, and goes on there.
                    return
                assert here.allowed == there.allowed
                assert there.levels == pytest.approx(here.levels, abs=60_000_000)
            elif kind == "give":
                bucket = Bucket(f"{prefix}{what % 2}", (10, 7)[what % 2], 10**6, 10, returns=True)
                local.give(bucket, bucket.back_us(amount))
                buckets.give(bucket, amount)
            else:
                for number in (2, 3):
                    slots = Slots(f"{prefix}{number}", number - 1)
                    local.leave(slots.name, str(what))
                    buckets.free([slots], str(what))
    finally:
        await buckets.close()
