"""How many retries there may be."""

from hypothesis import given
from hypothesis import strategies as st

from edge.upstream.budget import LEAST_PER_S, LEAST_RUNNING, SHARE, RetryBudget


def test_a_quiet_edge_may_retry_three_at_a_time() -> None:
    budget = RetryBudget(0)
    assert [budget.try_begin(1, 0) for _ in range(4)] == [True, True, True, False]
    budget.end()
    assert budget.try_begin(1, 0)


def test_retries_at_a_time_are_a_fifth_of_what_is_in_flight() -> None:
    budget = RetryBudget(0)
    for _ in range(1000):
        budget.note_request()
    assert sum(budget.try_begin(100, 0) for _ in range(100)) == 20


def test_failures_that_are_over_at_once_use_the_budget_up_as_well() -> None:
    budget = RetryBudget(0)
    granted = 0
    for _ in range(1000):
        budget.note_request()
        if budget.try_begin(1, 0):
            granted += 1
            budget.note_request()
            budget.end()
    assert LEAST_PER_S < granted <= LEAST_PER_S + SHARE * (1000 + granted)


def test_a_second_pays_in_enough_for_two_dead_upstreams() -> None:
    budget = RetryBudget(0)

    def spend(now_s: float) -> int:
        granted = 0
        while budget.try_begin(1, now_s):
            budget.end()
            granted += 1
        return granted

    assert [spend(0), spend(0), spend(1), spend(3600)] == [10, 0, 10, 10]


@given(
    st.lists(st.sampled_from(["request", "retry", "end", "later"]), max_size=200),
    st.integers(0, 500),
)
def test_neither_bound_is_ever_passed(steps: list[str], in_flight: int) -> None:
    budget, now_s, requests, granted, running = RetryBudget(0), 0.0, 0, 0, 0
    for step in steps:
        if step == "request":
            budget.note_request()
            requests += 1
        elif step == "later":
            now_s += 0.25
        elif step == "end" and running:
            budget.end()
            running -= 1
        elif step == "retry" and budget.try_begin(in_flight, now_s):
            granted += 1
            running += 1
        assert budget.running == running < max(LEAST_RUNNING, SHARE * in_flight) + 1
        assert granted <= max(LEAST_PER_S, SHARE * in_flight) + LEAST_PER_S * now_s + SHARE * requests + 1e-6
