"""Limits take about as many steps as they did."""

import asyncio

import pytest

from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket
from tests.support.steps import hold_to_kept, steps


@pytest.mark.parametrize("together", [1, 8])
async def test_a_call_for_limits(redis_url: str, together: int) -> None:
    buckets, requests = Buckets(redis_url), Bucket("requests", 10**9, 60)
    tokens = Bucket("tokens", 10**9, 60, 1_000, returns=True)

    async def take() -> None:
        answers = await asyncio.gather(*(buckets.take(requests, tokens) for _ in range(together)))
        assert all(answer.allowed for answer in answers)

    try:
        hold_to_kept(f"limits of {together} at a time", await steps(take))
    finally:
        await buckets.close()
