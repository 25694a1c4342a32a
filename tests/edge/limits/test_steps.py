"""Limits take about as many steps as they did."""

import asyncio

import pytest

from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket, Slots
from tests.support.steps import hold_to_kept, steps


@pytest.mark.parametrize("together", [1, 8])
async def test_a_call_for_limits(redis_url: str, together: int) -> None:
    buckets, number = Buckets(redis_url), 0
    tokens, places = Bucket("tokens", 10**9, 60, 1_000, returns=True), Slots("places", 10**6)

    async def one(member: str) -> None:
        assert (await buckets.take(Bucket("requests", 10**9, 60), tokens, places, member=member)).allowed
        buckets.give(tokens, 10)
        buckets.free([places], member)

    async def take() -> None:
        nonlocal number
        number += together
        await asyncio.gather(*(one(f"{number}-{each}") for each in range(together)))

    try:
        hold_to_kept(f"limits of {together} at a time", await steps(take))
    finally:
        await buckets.close()
