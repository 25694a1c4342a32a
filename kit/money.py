"""Money in int64 nano-dollars: the only place where amounts are parsed, printed and rounded."""

import re
from decimal import Decimal

NANOS_PER_USD = 1_000_000_000
TOKENS_PER_MTOK = 1_000_000
MAX_NANOS = 2**63 - 1
MAX_PARSED_USD = 1_000_000_000
"""Amounts typed by people or programs beyond this are mistakes; a tenth of what int64 holds."""

_AMOUNT = re.compile(r"-?[0-9]{1,10}(\.[0-9]+)?")


def parse_usd(amount: str | int | Decimal) -> int:
    """Nano-dollars of an amount in dollars: "5", "-0.25", 5, Decimal("5.00").

    ValueError when it is no plain decimal number, has more than nine decimals, or is absurdly
    large; TypeError for floats (and booleans), which cannot be exact.
    """
    if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
        raise TypeError("an amount is a string, an int or a Decimal")
    if isinstance(amount, str) and not _AMOUNT.fullmatch(amount):
        raise ValueError("not an amount in dollars")
    value = Decimal(amount)
    if not value.is_finite() or abs(value) > MAX_PARSED_USD:
        raise ValueError(f"not an amount within {MAX_PARSED_USD} dollars")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent < -9:
        raise ValueError("an amount has at most nine decimals")
    if value == 0:
        return 0
    nanos = int("".join(map(str, digits)) + "0" * (exponent + 9))
    return -nanos if sign else nanos


def format_usd(nanos: int) -> str:
    """Dollars with two to nine decimals and no other trailing zeros: "11.00", "0.0000041"."""
    return _format(nanos, 2)


def format_price(nanos_per_mtok: int) -> str:
    """Dollars per million tokens with six decimals ("0.100000"); more only where six would lie."""
    return _format(nanos_per_mtok, 6)


def cost_nanos(*parts: tuple[int, int]) -> int:
    """Cost of (tokens, nanos_per_mtok) parts: summed exactly, then rounded up once.

    ValueError for a negative part, OverflowError beyond int64.
    """
    total = 0
    for tokens, nanos_per_mtok in parts:
        if tokens < 0 or nanos_per_mtok < 0:
            raise ValueError("tokens and prices are never negative")
        total += tokens * nanos_per_mtok
    cost = -(-total // TOKENS_PER_MTOK)
    if cost > MAX_NANOS:
        raise OverflowError("a cost beyond int64 nano-dollars")
    return cost


def format_exact_cost(*parts: tuple[int, int]) -> str:
    """Dollars of (tokens, nanos_per_mtok) parts before any rounding: two to fifteen decimals."""
    return _format(sum(tokens * nanos_per_mtok for tokens, nanos_per_mtok in parts), 2, decimals=15)


def share_nanos(nanos: int, *, part: int, whole: int) -> int:
    """As much of an amount as `part` is of `whole`, rounded down; none of the three is negative, `whole` not 0."""
    return nanos * part // whole


def _format(units: int, least_decimals: int, *, decimals: int = 9) -> str:
    """Dollars of so many units, of which one is 1 in the last of the decimals."""
    dollars, rest = divmod(abs(units), 10**decimals)
    digits = f"{rest:0{decimals}d}"
    kept = digits[:least_decimals] + digits[least_decimals:].rstrip("0")
    return f"{'-' if units < 0 else ''}{dollars}.{kept}"
