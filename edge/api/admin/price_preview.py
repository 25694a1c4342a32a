"""What other prices for a model would have brought, for what was used of it."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from edge.api.admin.prices import Name
from edge.api.admin.rates import NewPrices
from edge.api.session import Administrator
from edge.api.wire import Body, JsonRoute
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.money import cost_nanos, format_usd
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.usage.v1 import usage_pb2

router = APIRouter(prefix="/api/admin/prices", tags=["Administration"], route_class=JsonRoute)


class PricesToTry(Body):
    """The prices to try on a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "privaterouter/fast",
                    "prices": {"input_usd_per_mtok": "0.12", "output_usd_per_mtok": "0.36"},
                }
            ]
        }
    )

    model: Name
    prices: NewPrices


class Estimate(BaseModel):
    """What was used of a model in a span of time, what was charged, and about what these prices would have made.

    Calls that another model answered are counted there, as they are charged at its price; calls that failed are left
    out. "About", because each call's cost is rounded up by itself, and because not all of a call is always charged.
    """

    from_time: datetime = Field(serialization_alias="from")
    to_time: datetime = Field(serialization_alias="to", description="Not included.")
    requests: int
    input_tokens: int = Field(description="Of the prompts, those of the caches included.")
    cached_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int = Field(description="Hidden reasoning included.")
    reasoning_tokens: int
    charged_usd: str = Field(description="At the prices of the time.")
    would_cost_usd: str


class PricePreview(BaseModel):
    """The last whole month (UTC), and this month so far."""

    last_month: Estimate
    this_month: Estimate


@router.post("/preview")
async def preview_prices(_: Administrator, body: PricesToTry, deps: With) -> PricePreview:
    """Say what the last month, and this one so far, would have cost at these prices. Nothing is changed."""
    price = body.prices.price()
    # Says so where there is no such model: usage knows names, not models.
    await deps.clients.catalog.ListModelPrices(catalog_pb2.ListModelPricesRequest(public_name=body.model))
    now = deps.clock().astimezone(UTC)
    this_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    return PricePreview(
        last_month=await _estimate(deps, body.model, price, last_month, this_month),
        this_month=await _estimate(deps, body.model, price, this_month, now),
    )


async def _estimate(deps: Deps, model: str, price: catalog_pb2.Price, begin: datetime, end: datetime) -> Estimate:
    request = usage_pb2.SummarizeAllUsageRequest(
        group=usage_pb2.SUMMARY_GROUP_MODEL,
        from_day=begin.date().isoformat(),
        to_day=max(begin, end - timedelta(microseconds=1)).date().isoformat(),
        model_public_name=model,
        chargeable_only=True,
    )
    used = (await deps.clients.usage.SummarizeAllUsage(request)).total
    return Estimate(
        from_time=begin,
        to_time=end,
        requests=used.requests,
        input_tokens=used.input_tokens,
        cached_input_tokens=used.cached_input_tokens,
        cache_write_input_tokens=used.cache_write_input_tokens,
        output_tokens=used.output_tokens,
        reasoning_tokens=used.reasoning_tokens,
        charged_usd=format_usd(used.cost_nanos),
        would_cost_usd=format_usd(_would_cost_nanos(used, price)),
    )


def _would_cost_nanos(used: usage_pb2.SummaryRow, price: catalog_pb2.Price) -> int:
    """The cost as if all were one call. EdgeError invalid_amount where that is beyond any amount."""
    plain = price.input_nanos_per_mtok
    cached = price.cached_input_nanos_per_mtok if price.HasField("cached_input_nanos_per_mtok") else plain
    write = price.cache_write_input_nanos_per_mtok if price.HasField("cache_write_input_nanos_per_mtok") else plain
    try:
        return cost_nanos(
            (used.input_tokens - used.cached_input_tokens - used.cache_write_input_tokens, plain),
            (used.cached_input_tokens, cached),
            (used.cache_write_input_tokens, write),
            (used.output_tokens, price.output_nanos_per_mtok),
        )
    except OverflowError:
        raise EdgeError("invalid_amount", "prices: so much would cost more than can be said.", param="prices") from None
