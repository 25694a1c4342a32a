"""The rules of merging, over every order of reports that hypothesis thinks of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.merging import judge, presume
from services.usage.records import Record

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
ID = UUID("019e2a70-0000-7000-8000-000000000001")
OPEN = Record(
    request_id=ID,
    worker_id=ID,
    lease_id=ID,
    account_id=ID,
    api_key_id=ID,
    model_public_name="privaterouter/fast",
    upstream_name="",
    upstream_model="",
    endpoint="completions",
    status="open",
    input_tokens=100,
    cached_input_tokens=0,
    output_tokens=0,
    reasoning_tokens=0,
    price_version_id=ID,
    input_nanos_per_mtok=1,
    cached_input_nanos_per_mtok=1,
    output_nanos_per_mtok=1,
    cost_nanos=0,
    uncharged_nanos=0,
    held_nanos=100,
    estimated=False,
    streamed=True,
    start_time=NOW,
    latency_ms=0,
    first_token_ms=None,
    http_status=200,
    error_code="",
    finish_reason="",
)
small = st.integers(0, 5)
opens = st.builds(
    lambda tokens, latency_ms: replace(OPEN, output_tokens=tokens, cost_nanos=tokens * 3, latency_ms=latency_ms),
    small,
    small,
)
finals = st.builds(
    lambda tokens, status: replace(OPEN, output_tokens=tokens, cost_nanos=tokens * 3, status=status),
    small,
    st.sampled_from(["success", "cancelled", "interrupted"]),
)
# None stands for the moment in which usage gives the worker up.
histories = st.lists(st.one_of(opens, finals, st.none()), max_size=12)


@given(histories)
def test_a_final_stays_and_the_charges_of_a_request_are_its_cost(history: list[Record | None]) -> None:
    known: Record | None = None
    charged_nanos, own_finals = 0, 0
    for step, report in enumerate(history):
        now = NOW + timedelta(seconds=step)
        before = known
        if report is None:
            known = presume(known, now=now) if known and known.status == "open" else known
        else:
            verdict = judge(known, report, now=now)
            assert (verdict.store is None) == (verdict.outcome != pb.RECORD_OUTCOME_TAKEN)
            assert bool(verdict.detail) == (verdict.outcome == pb.RECORD_OUTCOME_REFUSED)
            known = verdict.store or known
            # What was taken or known is known from then on.
            if verdict.outcome != pb.RECORD_OUTCOME_REFUSED and known:
                assert judge(known, report, now=now).outcome == pb.RECORD_OUTCOME_KNOWN
        if before == known:
            continue
        assert known is not None
        if known.status == "open":
            assert before is None or before.status == "open"
            assert before is None or known.cost_nanos >= before.cost_nanos
            continue
        assert before is None or before.status == "open" or before.presumed
        charged_nanos += known.cost_nanos - (before.cost_nanos if before and before.status != "open" else 0)
        own_finals += not known.presumed
    if known and known.status != "open":
        assert charged_nanos == known.cost_nanos
        assert known.revision in (1, 2)
    assert own_finals <= 1


@given(st.permutations([1, 2, 3, 4]))
def test_open_reports_end_the_same_in_every_order(order: list[int]) -> None:
    known: Record | None = None
    for number in order:
        report = replace(OPEN, output_tokens=number, latency_ms=number, upstream_name=str(number))
        report = replace(report, first_token_ms=7 if number > 2 else None)
        known = judge(known, report, now=NOW).store or known
    assert known is not None
    assert (known.output_tokens, known.latency_ms, known.upstream_name, known.first_token_ms) == (4, 4, "4", 7)
