"""A caller's own limit on what a request may cost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from edge.errors import EdgeError
from edge.lookup.catalogue import Price
from edge.v1.bounds import LEAST_OUTPUT_TOKENS, Bounds
from edge.v1.max_cost import capped, read_max_cost
from tests.edge.v1.gateway import model

CHAT = model("test/chat", price=Price("p", 100_000_000, 50_000_000, 300_000_000))
BOUNDS = Bounds(prompt_tokens=1_000, prompt_estimate=200, limit_tokens=4_000, answers=1, choices=1)


def test_a_request_that_costs_less_is_left_alone() -> None:
    assert capped(BOUNDS, CHAT, 1_300_000) == BOUNDS


def test_the_output_limit_is_lowered_to_what_is_paid_for() -> None:
    assert capped(BOUNDS, CHAT, 1_299_999) == structs.replace(BOUNDS, limit_tokens=3_999)
    assert capped(structs.replace(BOUNDS, answers=3), CHAT, 1_000_000) == structs.replace(
        BOUNDS, answers=3, limit_tokens=1_000
    )


def test_below_the_least_useful_answer_it_is_refused_with_the_least_amount() -> None:
    assert capped(BOUNDS, CHAT, 176_800).limit_tokens == LEAST_OUTPUT_TOKENS
    with pytest.raises(EdgeError, match=r"may cost \$0\.0001768, and you allow \$0\.000176799\.") as caught:
        capped(BOUNDS, CHAT, 176_799)
    assert (caught.value.status, caught.value.type, caught.value.code, caught.value.param) == (
        400,
        "invalid_request_error",
        "max_cost_too_low",
        "x-privaterouter-max-cost-usd",
    )


def test_who_pays_nothing_gets_what_costs_nothing() -> None:
    free = replace(CHAT, price=Price("p", 0, 0, 0))
    assert capped(BOUNDS, free, 0) == BOUNDS
    with pytest.raises(EdgeError):
        capped(structs.replace(BOUNDS, limit_tokens=0, answers=0), CHAT, 0)


@given(
    prompt=st.integers(0, 10**6),
    limit=st.integers(1, 10**5),
    answers=st.integers(0, 128),
    prices=st.tuples(*[st.integers(0, 10**12)] * 3),
    most=st.integers(0, 10**15),
)
def test_what_is_let_through_never_costs_more_and_is_never_useless(
    prompt: int, limit: int, answers: int, prices: tuple[int, int, int], most: int
) -> None:
    bounds = Bounds(prompt, prompt // 5, limit, answers, answers)
    priced = replace(CHAT, price=Price("p", *prices))
    try:
        kept = capped(bounds, priced, most)
    except EdgeError:
        assert bounds.least_nanos(priced) > most
        return
    assert kept.full_nanos(priced) <= most
    assert min(limit, LEAST_OUTPUT_TOKENS) <= kept.limit_tokens <= limit


def test_the_header_is_an_amount_in_dollars() -> None:
    assert read_max_cost([(b"authorization", b"x")]) is None
    values = {b"0": 0, b"1": 10**9, b"0.05": 50_000_000, b"0.000000001": 1}
    assert {value: read_max_cost([(b"x-privaterouter-max-cost-usd", value)]) for value in values} == values


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"$1", b"1e3", b"0.0000000001", b"NaN", b"1,5", b"99999999999", b"1\xb2", b" 1"]
)
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(EdgeError) as caught:
        read_max_cost([(b"x-privaterouter-max-cost-usd", value)])
    assert (caught.value.status, caught.value.code, caught.value.param) == (
        400,
        "invalid_parameter",
        "x-privaterouter-max-cost-usd",
    )


def test_two_limits_are_refused() -> None:
    with pytest.raises(EdgeError, match="given twice"):
        read_max_cost([(b"x-privaterouter-max-cost-usd", b"1"), (b"x-privaterouter-max-cost-usd", b"2")])
