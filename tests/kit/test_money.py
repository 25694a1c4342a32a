"""Amounts: exact both ways, refused where they cannot be, rounded up once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.money import (
    MAX_NANOS,
    MAX_PARSED_USD,
    NANOS_PER_USD,
    cost_nanos,
    format_exact_cost,
    format_price,
    format_usd,
    parse_usd,
    share_nanos,
)

amounts = st.integers(min_value=-MAX_PARSED_USD * NANOS_PER_USD, max_value=MAX_PARSED_USD * NANOS_PER_USD)


@pytest.mark.parametrize(
    "amount, nanos",
    [
        ("5", 5_000_000_000),
        ("5.00", 5_000_000_000),
        ("-0.25", -250_000_000),
        ("0.000000001", 1),
        ("-0", 0),
        (7, 7_000_000_000),
        (Decimal("1E+3"), 1_000_000_000_000),
        (Decimal("12.340"), 12_340_000_000),
        ("1000000000", 10**18),
    ],
)
def test_an_amount_is_read_exactly(amount: str | int | Decimal, nanos: int) -> None:
    assert parse_usd(amount) == nanos


@pytest.mark.parametrize(
    "amount",
    [
        *("", " 5", "5 ", "+5", "5.", ".5", "5,00", "1e3", "NaN", "inf", "$5", "\u0665", "5\n", "1_000", "99999999999"),
        *("0.0000000001", "1000000000.000000001", Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999")),
        *(Decimal("1E-999999"), 10**4000),
    ],
)
def test_what_is_no_sensible_amount_is_refused(amount: str | int | Decimal) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_usd(amount)


@pytest.mark.parametrize("amount", [5.0, True, None, b"5"])
def test_what_cannot_be_exact_is_refused(amount: object) -> None:
    with pytest.raises(TypeError):
        parse_usd(amount)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "nanos, text",
    [
        (11_000_000_000, "11.00"),
        (4_100, "0.0000041"),
        (1, "0.000000001"),
        (0, "0.00"),
        (-1_500_000_000, "-1.50"),
        (-1, "-0.000000001"),
        (MAX_NANOS, "9223372036.854775807"),
    ],
)
def test_dollars_have_two_to_nine_decimals(nanos: int, text: str) -> None:
    assert format_usd(nanos) == text


@given(amounts)
def test_what_is_printed_is_read_back(nanos: int) -> None:
    assert parse_usd(format_usd(nanos)) == nanos
    assert parse_usd(format_price(nanos)) == nanos


def test_prices_have_six_decimals_and_more_only_where_six_would_lie() -> None:
    assert format_price(100_000_000) == "0.100000"
    assert format_price(2_500_000_000) == "2.500000"
    assert format_price(1_001) == "0.000001001"


def test_a_cost_is_rounded_up_once_over_all_parts() -> None:
    assert cost_nanos() == 0
    assert cost_nanos((0, 10**9)) == 0
    assert cost_nanos((1_000_000, 250)) == 250
    assert cost_nanos((1, 1)) == 1
    assert cost_nanos((1, 500_000), (1, 500_000)) == 1
    assert cost_nanos((1, 500_000), (1, 500_001)) == 2


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**11)), max_size=5))
def test_a_cost_is_the_least_whole_number_of_nanos_that_covers_it(parts: list[tuple[int, int]]) -> None:
    exact = sum(tokens * price for tokens, price in parts)
    assert 0 <= cost_nanos(*parts) * 1_000_000 - exact < 1_000_000


def test_a_cost_is_never_negative_and_never_beyond_int64() -> None:
    with pytest.raises(ValueError, match="negative"):
        cost_nanos((-1, 5))
    with pytest.raises(ValueError, match="negative"):
        cost_nanos((1, -5))
    assert cost_nanos((1_000_000, MAX_NANOS)) == MAX_NANOS
    with pytest.raises(OverflowError):
        cost_nanos((1_000_000, MAX_NANOS), (1, 1))


@pytest.mark.parametrize(
    "parts, text",
    [
        ([], "0.00"),
        ([(14, 100_000_000), (9, 300_000_000)], "0.0000041"),
        ([(10, 50_000), (1, 50_000), (3, 300_000)], "0.00000000145"),
        ([(1, 1)], "0.000000000000001"),
        ([(1_000_000, 11_000_000_000)], "11.00"),
    ],
)
def test_a_cost_before_rounding_is_printed_exactly(parts: list[tuple[int, int]], text: str) -> None:
    assert format_exact_cost(*parts) == text


@pytest.mark.parametrize("nanos, part, whole, share", [(10, 1, 3, 3), (10, 3, 3, 10), (10, 0, 3, 0), (0, 1, 3, 0)])
def test_a_share_is_rounded_down(nanos: int, part: int, whole: int, share: int) -> None:
    assert share_nanos(nanos, part=part, whole=whole) == share
