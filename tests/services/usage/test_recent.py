"""Answers that are kept for a while."""

import asyncio

import pytest

from kit.errors import Unavailable
from services.usage.recent import KEPT_S, Recent
from tests.support.waiting import eventually


class Source:
    """Counts, and takes as long as it is told to by a clock that stands still else."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.takes_s = 1.0
        self.count = 0
        self.fails = False

    async def find(self, question: str) -> str:
        await asyncio.sleep(0)
        self.count += 1
        self.now_s += self.takes_s
        if self.fails:
            raise Unavailable("away")
        return f"{question} {self.count}"


async def test_an_answer_is_kept_and_then_found_anew_beside_those_who_ask() -> None:
    source = Source()
    recent = Recent(source.find, now_s=lambda: source.now_s)
    together = await asyncio.gather(recent.get("a"), recent.get("a"), recent.get("b"))
    assert list(together) == ["a 1", "a 1", "b 2"]
    source.now_s += 7
    assert await recent.get("a") == "a 1"
    source.now_s += 3
    assert [await recent.get("a"), await recent.get("a")] == ["a 1", "a 1"]

    async def is_new() -> bool:
        return await recent.get("a") == "a 3"

    await eventually(is_new)
    assert source.count == 3


async def test_an_answer_that_is_found_at_once_is_always_new() -> None:
    source = Source()
    source.takes_s = 0
    recent = Recent(source.find, now_s=lambda: source.now_s)
    await recent.get("a")
    await recent.get("a")
    await asyncio.sleep(0.01)
    assert source.count == 2


async def test_nobody_is_given_an_answer_that_is_older_than_a_minute() -> None:
    source = Source()
    recent = Recent(source.find, now_s=lambda: source.now_s)
    await recent.get("a")
    source.now_s += KEPT_S
    assert await recent.get("a") == "a 2"


async def test_a_failure_is_told_only_where_nothing_is_kept() -> None:
    source = Source()
    recent = Recent(source.find, now_s=lambda: source.now_s)
    source.fails = True
    with pytest.raises(Unavailable):
        await recent.get("a")
    source.fails = False
    assert await recent.get("a") == "a 2"
    source.now_s += 20
    source.fails = True
    assert await recent.get("a") == "a 2"
    await asyncio.sleep(0.01)
    assert await recent.get("a") == "a 2"
