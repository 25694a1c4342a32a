"""A lease's arithmetic: its sum never fails, and its cushion follows what was used."""

from hypothesis import given
from hypothesis import strategies as st

from edge.money.leases import Lease, Recent
from edge.money.pace import Pace

PACE = Pace()


def new_lease(granted: int = 0, now_s: float = 0.0) -> Lease:
    lease = Lease("l", account_id="a", api_key_id="k", now_s=now_s, pace=PACE)
    lease.granted = granted
    lease.answered_s = now_s
    return lease


def test_recent_levels_and_flows_are_those_of_the_last_ten_seconds() -> None:
    recent = Recent(10.0)
    recent.note_level(100.0, 7)
    recent.note_flow(100.0, 3)
    recent.note_level(105.0, 5)
    recent.note_flow(105.5, 4)
    assert (recent.peak(109.9), recent.flow(109.9)) == (7, 7)
    assert (recent.peak(110.1), recent.flow(110.1)) == (5, 4)
    assert (recent.peak(500.0), recent.flow(500.0)) == (0, 0)


def test_the_cushion_is_the_peak_of_holds_and_what_was_spent_but_at_most_a_dollar() -> None:
    lease = new_lease(10_000_000_000)
    lease.take(300, 0.0)
    lease.take(200, 1.0)
    lease.settle(300, 120, 2.0)
    assert lease.cushion(3.0, PACE) == 500 + 120
    lease.take(5_000_000_000, 3.0)
    assert lease.cushion(3.0, PACE) == 1_000_000_000


def test_an_idle_or_ended_lease_has_no_cushion() -> None:
    lease = new_lease(1_000)
    lease.take(300, 0.0)
    assert lease.cushion(4.9, PACE) == 300
    assert lease.cushion(5.0, PACE) == 0
    lease.ended = True
    assert lease.cushion(1.0, PACE) == 0


def test_only_free_credit_is_given_back() -> None:
    lease = new_lease(1_000)
    lease.take(300, 0.0)
    lease.take(200, 0.0)
    lease.settle(200, 50, 0.0)
    assert lease.give_back(100)
    assert (lease.free, lease.returned) == (100, 1_000 - 300 - 50 - 100)
    assert not lease.give_back(100)


def test_it_takes_no_holds_60_s_after_the_last_answered_renewal_was_sent() -> None:
    lease = new_lease(1_000, now_s=50.0)
    assert lease.usable(110.0, PACE)
    assert not lease.usable(110.1, PACE)
    lease.answered_s = 60.0
    assert lease.usable(110.1, PACE)
    lease.ended = True
    assert not lease.usable(60.0, PACE)


@given(
    st.lists(st.tuples(st.sampled_from(["grant", "take", "settle", "give_back"]), st.integers(0, 1_000)), max_size=60)
)
def test_granted_is_always_returned_and_spent_and_held_and_free(steps: list[tuple[str, int]]) -> None:
    lease = new_lease()
    holds: list[int] = []
    for now, (step, nanos) in enumerate(steps):
        if step == "grant":
            lease.granted += nanos
        elif step == "take" and nanos <= lease.free:
            lease.take(nanos, float(now))
            holds.append(nanos)
        elif step == "settle" and holds:
            held = holds.pop(nanos % len(holds))
            lease.settle(held, min(held, nanos), float(now))
        elif step == "give_back":
            lease.give_back(nanos)
        assert lease.free >= 0
        assert lease.held == sum(holds)
        assert lease.granted == lease.returned + lease.spent + lease.held + lease.free
