"""The header `x-privaterouter-max-cost-usd`: the most that a caller wants to pay for one request."""

from msgspec.structs import replace

from edge.errors import EdgeError
from edge.lookup.catalogue import Model
from edge.v1.bounds import Bounds
from edge.v1.headers import Headers, find, invalid
from kit.money import format_usd, parse_usd

HEADER = b"x-privaterouter-max-cost-usd"


def read_max_cost(headers: Headers) -> int | None:
    """Nano-dollars, None where the header is not there. EdgeError `invalid_parameter`."""
    text = find(headers, HEADER)
    if text is None:
        return None
    try:
        nanos = parse_usd(text)
    except ValueError:
        nanos = -1
    if nanos < 0:
        raise invalid(HEADER, "is no amount in dollars. Send a decimal number with at most nine decimals, as 0.05.")
    return nanos


def capped(bounds: Bounds, model: Model, max_cost_nanos: int) -> Bounds:
    """The bounds of a request that costs at most so much: the same, or with a lower output limit.

    EdgeError `max_cost_too_low` where that does not pay for the least useful answer.
    """
    if bounds.full_nanos(model) <= max_cost_nanos:
        return bounds
    least_nanos = bounds.least_nanos(model)
    if max_cost_nanos < least_nanos:
        raise EdgeError(
            "max_cost_too_low",
            f"The shortest useful answer to this request may cost ${format_usd(least_nanos)}, and you allow"
            f" ${format_usd(max_cost_nanos)}. Allow that much, or send a shorter prompt.",
            param=HEADER.decode(),
        )
    return replace(bounds, limit_tokens=bounds.affordable_limit(model, max_cost_nanos))
