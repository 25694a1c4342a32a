"""When an upstream is ejected, and how it comes back."""

import asyncio

from edge.upstream.members import EJECTION_S, FAILURES, FORGIVEN_S, Level, Member, Standing
from tests.edge.upstream.world import Clock, member


def fail(one: Member, clock: Clock, times: int = FAILURES) -> None:
    for _ in range(times):
        one.failed(one.era, clock(), was_answered=False)


def succeed(one: Member, clock: Clock) -> None:
    one.answered(one.era)
    one.succeeded(one.era, clock())


def test_five_failures_in_a_row_eject_and_an_answer_in_between_does_not() -> None:
    clock, one = Clock(), member()
    fail(one, clock, FAILURES - 1)
    succeed(one, clock)
    fail(one, clock, FAILURES - 1)
    assert one.level(clock()) is Level.GOOD
    fail(one, clock, 1)
    assert (one.level(clock()), one.standing(clock()), one.ejections(clock())) == (Level.EJECTED, Standing.EJECTED, 1)


def test_one_that_stops_to_answer_is_ejected_while_its_long_streams_end_well() -> None:
    clock, one = Clock(), member()
    for _ in range(FAILURES):
        one.succeeded(one.era, clock())
        fail(one, clock, 1)
    assert one.standing(clock()) is Standing.EJECTED


def test_one_that_begins_to_answer_and_breaks_is_ejected() -> None:
    clock, one = Clock(), member()
    for _ in range(FAILURES):
        assert one.standing(clock()) is Standing.HEALTHY
        one.answered(one.era)
        one.failed(one.era, clock(), was_answered=True)
    assert one.standing(clock()) is Standing.EJECTED


def test_what_was_sent_before_the_ejection_changes_nothing_when_it_ends_after_it() -> None:
    clock, one = Clock(), member()
    era = one.era
    for _ in range(50):
        one.failed(era, clock(), was_answered=True)
    one.answered(era)
    one.succeeded(era, clock())
    assert (one.ejected_total, one.ejected_until_s) == (1, clock() + EJECTION_S)
    clock.now_s += EJECTION_S
    one.failed(era, clock(), was_answered=True)
    assert (one.ejected_total, one.standing(clock())) == (1, Standing.ON_TRIAL)


def test_after_its_time_one_request_decides() -> None:
    clock, one = Clock(), member()
    fail(one, clock)
    clock.now_s += EJECTION_S
    assert one.level(clock()) is Level.GOOD
    assert one.begin(clock())
    assert one.level(clock()) is Level.AVOIDED
    fail(one, clock, 1)
    one.end_trial()
    assert (one.level(clock()), one.ejected_until_s) == (Level.EJECTED, clock() + 2 * EJECTION_S)
    clock.now_s += 2 * EJECTION_S
    assert one.begin(clock())
    one.end_trial()
    assert one.level(clock()) is Level.GOOD
    succeed(one, clock)
    assert (one.standing(clock()), one.begin(clock())) == (Standing.HEALTHY, False)


def test_a_success_of_one_that_was_used_though_ejected_brings_it_back() -> None:
    clock, one = Clock(), member()
    fail(one, clock)
    assert not one.begin(clock())
    succeed(one, clock)
    assert one.standing(clock()) is Standing.HEALTHY


def test_ejections_grow_longer_up_to_five_minutes_and_are_forgotten_while_it_is_healthy() -> None:
    clock, one = Clock(), member()
    lasted = []
    for _ in range(12):
        fail(one, clock)
        assert one.ejected_until_s is not None
        lasted.append(one.ejected_until_s - clock())
        clock.now_s = one.ejected_until_s
        succeed(one, clock)
    assert lasted == [EJECTION_S * min(n, 10) for n in range(1, 13)]
    clock.now_s += 9 * FORGIVEN_S
    assert one.ejections(clock()) == 1
    fail(one, clock)
    assert one.ejected_until_s == clock() + 2 * EJECTION_S


def test_a_probe_ends_an_ejection_and_the_next_request_decides() -> None:
    clock, one = Clock(), member()
    fail(one, clock)
    clock.now_s += 1
    one.probed(clock(), is_healthy=True)
    assert (one.standing(clock()), one.level(clock())) == (Standing.ON_TRIAL, Level.GOOD)
    succeed(one, clock)
    assert one.standing(clock()) is Standing.HEALTHY


def test_a_probe_that_sees_nothing_wrong_is_not_believed_twice() -> None:
    clock, one = Clock(), member()
    fail(one, clock)
    one.probed(clock(), is_healthy=True)
    fail(one, clock, 1)
    until_s = clock() + 2 * EJECTION_S
    one.probed(clock(), is_healthy=True)
    assert (one.level(clock()), one.ejected_until_s) == (Level.EJECTED, until_s)
    one.probed(clock(), is_healthy=False)
    one.probed(clock(), is_healthy=True)
    assert one.standing(clock()) is Standing.ON_TRIAL


def test_probes_that_fail_three_times_make_it_avoided_and_never_eject_it() -> None:
    clock, one = Clock(), member()
    for _ in range(2):
        one.probed(clock(), is_healthy=False)
    assert one.level(clock()) is Level.GOOD
    for _ in range(100):
        one.probed(clock(), is_healthy=False)
    assert (one.level(clock()), one.standing(clock()), one.ejected_total) == (Level.AVOIDED, Standing.SUSPECT, 0)
    succeed(one, clock)
    assert one.level(clock()) is Level.GOOD
    fail(one, clock)
    for _ in range(3):
        one.probed(clock(), is_healthy=False)
    assert one.level(clock()) is Level.SILENT


def test_it_pauses_as_long_as_it_asks_and_at_most_thirty_seconds() -> None:
    clock, one = Clock(), member()
    one.cool_down(3600, clock())
    one.cool_down(-5, clock())
    clock.now_s += 29
    assert (one.level(clock()), one.standing(clock())) == (Level.AVOIDED, Standing.HEALTHY)
    clock.now_s += 1
    assert one.level(clock()) is Level.GOOD


async def test_it_is_avoided_while_its_queue_is_full() -> None:
    clock, one = Clock(), member(max_in_flight=1, max_queued=1)
    await one.slots.take()
    assert one.level(clock()) is Level.GOOD
    waiting = asyncio.create_task(one.slots.take())
    await asyncio.sleep(0)
    assert (one.level(clock()), one.standing(clock())) == (Level.AVOIDED, Standing.HEALTHY)
    one.slots.free(1)
    await waiting
    assert one.level(clock()) is Level.GOOD
