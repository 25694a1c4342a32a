"""Batches: one call for a tick's questions, and whoever comes meanwhile in the next."""

import asyncio
from collections.abc import Sequence

import pytest

from edge import batch
from edge.batch import Batcher
from edge.errors import EdgeError
from kit.logs import request_id


class Asked:
    """Doubles numbers, and remembers in which batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, numbers: list[int]) -> Sequence[int]:
        self.batches.append(numbers)
        await self.gate.wait()
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def test_all_questions_of_a_tick_go_into_one_call() -> None:
    asked = Asked()
    ask = Batcher(asked, most=100, in_flight=1)
    assert await asyncio.gather(*(ask(number) for number in range(5))) == [0, 2, 4, 6, 8]
    assert asked.batches == [[0, 1, 2, 3, 4]]


async def test_questions_that_come_during_a_call_wait_for_the_next() -> None:
    asked = Asked()
    asked.gate.clear()
    ask = Batcher(asked, most=2, in_flight=1)
    answers = asyncio.gather(*(ask(number) for number in range(5)))
    while not asked.batches:
        await asyncio.sleep(0)
    asked.gate.set()
    assert await answers == [0, 2, 4, 6, 8]
    assert asked.batches == [[0, 1], [2, 3], [4]]


async def test_an_error_is_everybodys_in_the_batch_and_nobody_elses() -> None:
    ask = Batcher(Asked(), most=2, in_flight=2)
    answers = await asyncio.gather(*(ask(number) for number in (1, 2, 13, 4)), return_exceptions=True)
    assert answers[:2] == [2, 4]
    assert [type(answer) for answer in answers[2:]] == [ValueError, ValueError]


async def test_who_has_left_is_not_asked_for() -> None:
    asked = Asked()
    ask = Batcher(asked, most=10, in_flight=1)
    leaving = asyncio.create_task(ask(1))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await ask(2) == 4
    assert asked.batches in ([[2]], [[1], [2]])


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_WAITING", 3)
    asked = Asked()
    asked.gate.clear()
    ask = Batcher(asked, most=1, in_flight=1)
    waiting = [asyncio.create_task(ask(number)) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    refused = [task for task in waiting if task.done()]
    assert [type(task.exception()) for task in refused] == [EdgeError] * len(refused)
    assert refused
    asked.gate.set()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_on_close_nobody_is_left_waiting() -> None:
    asked = Asked()
    asked.gate.clear()
    ask = Batcher(asked, most=1, in_flight=1)
    waiting = [asyncio.create_task(ask(number)) for number in range(3)]
    while not asked.batches:
        await asyncio.sleep(0)
    await ask.close()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [EdgeError] * 3


async def test_a_call_belongs_to_the_request_of_its_first_question() -> None:
    """Also one that waited for its turn, and whoever was asked before."""
    whose: list[str] = []
    gate = asyncio.Event()

    async def note(numbers: list[int]) -> Sequence[int]:
        whose.append(request_id.get())
        await gate.wait()
        return numbers

    ask = Batcher(note, most=1, in_flight=1)

    async def request(name: str, number: int) -> int:
        request_id.set(name)
        return await ask(number)

    answers = asyncio.gather(request("first", 1), request("second", 2))
    await asyncio.sleep(0)
    gate.set()
    assert list(await answers) == [1, 2]
    assert whose == ["first", "second"]
