"""The rules of merging, over every order of reports that hypothesis thinks of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.merging import judge, presume
from services.usage.records import Attempt, Record

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
ID = UUID("019e2a70-0000-7000-8000-000000000001")
OPEN = Record(
    request_id=ID,
    worker_id=ID,
    lease_id=ID,
    account_id=ID,
    api_key_id=ID,
    model_public_name="privaterouter/fast",
    served_model_public_name="",
    upstream_name="",
    upstream_model="",
    endpoint="completions",
    status="open",
    input_tokens=100,
    cached_input_tokens=0,
    cache_write_input_tokens=0,
    output_tokens=0,
    reasoning_tokens=0,
    price_version_id=ID,
    input_nanos_per_mtok=1,
    cached_input_nanos_per_mtok=1,
    cache_write_input_nanos_per_mtok=1,
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
    attempts=(),
)
FAILED = Attempt("first", "m", 503, "upstream_unavailable", 12)
SERVED = Attempt("second", "m", 200, "", 40)
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
        report = replace(report, attempts=(FAILED, SERVED)[: number - 1], served_model_public_name=str(number))
        known = judge(known, report, now=NOW).store or known
    assert known is not None
    assert known == replace(
        OPEN,
        output_tokens=4,
        latency_ms=4,
        upstream_name="4",
        first_token_ms=7,
        attempts=(FAILED, SERVED),
        served_model_public_name="4",
    )


@given(st.permutations([(30, 0, 1), (0, 40, 2), (10, 20, 3), (60, 41, 4)]))
def test_what_of_the_prompt_was_cached_never_falls_and_never_outgrows_it(order: list[tuple[int, int, int]]) -> None:
    known = OPEN
    for read, written, latency_ms in order:
        report = replace(
            OPEN, cached_input_tokens=read, cache_write_input_tokens=written, input_tokens=101, latency_ms=latency_ms
        )
        before, known = known, judge(known, report, now=NOW).store or known
        for name in ("input_tokens", "cached_input_tokens", "cache_write_input_tokens"):
            assert getattr(known, name) >= getattr(before, name)
        assert known.cached_input_tokens + known.cache_write_input_tokens <= known.input_tokens
    parts = (known.input_tokens, known.cached_input_tokens, known.cache_write_input_tokens)
    assert parts == (101, 60, 41)


def test_reports_that_disagree_on_what_was_cached_keep_a_prompt_that_holds_both() -> None:
    read = replace(OPEN, cached_input_tokens=100, latency_ms=1)
    written = replace(OPEN, cache_write_input_tokens=100, latency_ms=2)
    for first, second in ((read, written), (written, read)):
        known = judge(first, second, now=NOW).store
        assert known == replace(
            OPEN, input_tokens=200, cached_input_tokens=100, cache_write_input_tokens=100, latency_ms=2
        )
