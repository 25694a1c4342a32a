"""Slots and their queue: never more than the limit, in order, and nobody is forgotten."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.upstream.slots import MovedOn, Slots
from tests.edge.upstream.world import Clock


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def waiting(slots: Slots, order: list[int], number: int, *, has_better: bool = False) -> asyncio.Task[None]:
    async def wait() -> None:
        await slots.take(60, lambda: has_better)
        order.append(number)

    return asyncio.create_task(wait())


async def test_slots_are_handed_over_in_the_order_of_coming() -> None:
    slots, order = Slots(2, 10, Clock()), list[int]()
    await slots.take()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(4)]
    await settled()
    assert (slots.in_flight, slots.queued, order) == (2, 4, [])
    slots.free(1)
    assert not slots.try_take()
    await settled()
    assert (slots.in_flight, slots.queued, order) == (2, 3, [0])
    for _ in range(3):
        slots.free(1)
        await settled()
    assert (slots.in_flight, slots.queued, order) == (2, 0, [0, 1, 2, 3])
    await asyncio.gather(*tasks)


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    slots, order = Slots(2, 0, Clock()), list[int]()
    await slots.take()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(2)]
    await settled()
    assert slots.is_full
    with pytest.raises(EdgeError) as raised:
        await slots.take()
    error = raised.value
    assert (error.code, error.status, error.headers) == ("upstream_unavailable", 503, {"retry-after": "10"})
    assert error.message == "The model's servers are busy. Nothing was charged. Try again in a moment."
    for _ in range(2):
        slots.free(1)
    await asyncio.gather(*tasks)


async def test_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    slots = Slots(1, 5, Clock())
    await slots.take()
    with pytest.raises(EdgeError):
        await slots.take(0.01)
    assert (slots.in_flight, slots.queued) == (1, 0)
    slots.free(1)
    assert (slots.in_flight, slots.try_take()) == (0, True)


async def test_who_has_somewhere_better_to_go_moves_on_and_the_others_keep_their_order() -> None:
    slots, order = Slots(1, 5, Clock()), list[int]()
    await slots.take()
    tasks = [waiting(slots, order, number, has_better=number % 2 == 0) for number in range(4)]
    await settled()
    tasks[2].cancel()  # It has not run yet when the others move on.
    slots.move_on()
    slots.free(1)
    await settled()
    assert isinstance(tasks[0].exception(), MovedOn)
    assert (tasks[2].cancelled(), slots.in_flight, slots.queued, order) == (True, 1, 1, [1])
    slots.free(1)
    await settled()
    assert order == [1, 3]


async def test_a_cancelled_waiter_leaves_the_queue_at_once_and_passes_on_what_it_was_given() -> None:
    slots, order = Slots(1, 5, Clock()), list[int]()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(3)]
    await settled()
    tasks[0].cancel()
    await settled()
    assert (slots.queued, order) == (2, [])
    slots.free(1)  # Goes to the second, which is cancelled before it can run.
    tasks[1].cancel()
    await settled()
    assert (slots.in_flight, slots.queued, order) == (1, 0, [2])
    assert [task.cancelled() for task in tasks] == [True, True, False]


async def test_a_slot_that_becomes_free_in_the_step_of_a_cancellation_is_not_lost() -> None:
    slots, order = Slots(1, 5, Clock()), list[int]()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(2)]
    await settled()
    tasks[0].cancel()
    slots.free(1)
    await settled()
    assert (slots.in_flight, slots.queued, order) == (1, 0, [1])


async def test_new_bounds_count_at_once_and_what_runs_goes_on() -> None:
    slots, order = Slots(1, 5, Clock()), list[int]()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(3)]
    await settled()
    slots.resize(2, 5)
    await settled()
    assert (slots.in_flight, order) == (2, [0])
    slots.resize(1, 5)
    slots.free(1)
    await settled()
    assert (slots.in_flight, order) == (1, [0])
    slots.resize(0, 0)
    await asyncio.gather(*tasks)
    assert (slots.in_flight, slots.queued, order) == (3, 0, [0, 1, 2])


@pytest.mark.parametrize(
    "lasted_s, silent_s, expected",
    [(0.1, 0, 1), (4, 0, 6), (4, 8, 24), (1000, 0, 60), (0.1, 10_000, 60)],
)
async def test_when_to_come_back_follows_from_how_long_requests_take(
    lasted_s: float, silent_s: float, expected: int
) -> None:
    """Two slots, two waiting: the third in the queue has its turn after three ends."""
    clock = Clock()
    slots, order = Slots(2, 2, clock), list[int]()
    for _ in range(3):
        slots.try_take()
        slots.free(lasted_s)
    await slots.take()
    await slots.take()
    tasks = [waiting(slots, order, number) for number in range(2)]
    await settled()
    clock.now_s += silent_s
    assert slots.retry_after_s() == expected
    slots.resize(0, 0)
    await asyncio.gather(*tasks)


KINDS = ["come", "end", "cancel", "resize", "move on", "run"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(1, 5))
def test_whatever_happens_slots_are_kept_in_order_and_none_is_lost(
    steps: list[tuple[str, int]], limit: int, max_queued: int
) -> None:
    asyncio.run(_live_through(steps, limit, max_queued))


async def _live_through(steps: list[tuple[str, int]], limit: int, max_queued: int) -> None:
    slots, order, tasks = Slots(limit, max_queued, Clock()), list[int](), dict[int, asyncio.Task[None]]()
    running: set[int] = set()
    most = limit

    async def come(number: int) -> None:
        await _come(slots, order, number)
        running.add(number)

    for count, (step, number) in enumerate(steps):
        if step == "come":
            tasks[count] = asyncio.create_task(come(count))
        elif step == "end" and running:
            running.remove(sorted(running)[number % len(running)])
            slots.free(1)
        elif step == "cancel" and tasks:
            list(tasks.values())[number % len(tasks)].cancel()
        elif step == "resize":
            slots.resize(number % 3 + 1, max_queued)
            most = max(most, number % 3 + 1)
        elif step == "move on":
            slots.move_on()
        elif step == "run":
            await settled()
        assert slots.in_flight <= most
        assert slots.queued <= max_queued
    await settled()
    assert slots.in_flight == len(running)
    # Of those that waited, who came first was served first.
    assert order == sorted(order)
    # No slot is idle while somebody waits.
    waits = [task for task in tasks.values() if not task.done()]
    assert slots.queued == len(waits)
    assert not waits or slots.in_flight >= slots._limit
    await _wind_down(slots, running)
    assert (slots.in_flight, slots.queued, all(task.done() for task in tasks.values())) == (0, 0, True)
    for task in tasks.values():
        assert task.cancelled() or isinstance(task.exception(), EdgeError | None)


async def _come(slots: Slots, order: list[int], number: int) -> None:
    if slots.try_take():
        assert all(turn.done() for turn in slots._queue), "it has overtaken one who waits"
    else:
        await slots.take(60, lambda: number % 2 == 1)
        order.append(number)


async def _wind_down(slots: Slots, running: set[int]) -> None:
    """Ends what runs, and what gets its turn by that."""
    while running:
        running.pop()
        slots.free(1)
        await settled()
