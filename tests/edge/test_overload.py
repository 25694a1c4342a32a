"""An edge that is late refuses what is new, for as long as it is late."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from edge.overload import Overload
from tests.support.waiting import eventually


@pytest.fixture
async def overload() -> AsyncIterator[Overload]:
    made = Overload(look_s=0.01, late_s=0.05)
    yield made
    made.close()


async def is_off(overload: Overload) -> bool:
    return not overload.is_on() and REGISTRY.get_sample_value("edge_overloaded") == 0


async def test_one_long_step_is_no_overload(overload: Overload) -> None:
    time.sleep(0.5)
    await asyncio.sleep(0.005)
    assert not overload.is_on()


async def test_a_loop_that_is_late_again_and_again_is_overloaded_until_it_is_not(overload: Overload) -> None:
    while not overload.is_on():
        time.sleep(0.1)
        # Shorter than the time to its next look, which is late because of the next step.
        await asyncio.sleep(0.005)
    assert REGISTRY.get_sample_value("edge_overloaded") == 1
    await eventually(lambda: is_off(overload))
