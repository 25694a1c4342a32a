"""What bench.start says of its figures."""

from bench.start import READY_GOAL_S, SERVICES, WORKS, Firsts, Starts, line, reached


def test_a_start_keeps_to_its_goals_by_the_medians() -> None:
    starts = {name: Starts(ready=[0.1, READY_GOAL_S[name], 60.0]) for name in ("edge", *SERVICES)}
    firsts = {work: Firsts(first=[0.5, 0.021, 0.020], usual=[0.001, 0.001, 0.001]) for work in WORKS}
    assert reached(starts, firsts)
    starts["usage"].ready.append(60.0)
    assert not reached(starts, firsts)


def test_a_first_request_is_judged_by_what_it_took_more() -> None:
    starts = {name: Starts(ready=[0.1]) for name in ("edge", *SERVICES)}
    assert reached(starts, {"chat": Firsts(first=[0.120], usual=[0.100])})
    assert not reached(starts, {"chat": Firsts(first=[0.030], usual=[0.002])})


def test_a_line_says_what_was_not_reached() -> None:
    assert line("edge", [1.0, 2.0, 9.0], 1, 1.5).split() == ["edge", "2", "1", "9", "1.5", "NOT", "REACHED"]
    assert line("edge", [0.25], 1000).split() == ["edge", "250", "250", "250"]
