"""What FastAPI answers of `/v1`, in the order in which paths are tried."""

from collections.abc import Sequence

from fastapi import APIRouter

from edge.limits.rates import Rates
from edge.v1.callers import Callers
from edge.v1.counting import counting_router
from edge.v1.quote import QuoteParts, quote_router
from edge.v1.routes import models_router


def v1_routers(*, quotes: QuoteParts, callers: Callers, rates: Rates) -> Sequence[APIRouter]:
    """The routers, which touch their parts only when a request comes."""
    return quote_router(quotes), counting_router(callers, rates), models_router(callers)
