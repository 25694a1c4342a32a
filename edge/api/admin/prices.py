"""What operators do about prices: see every version of a model's, and make a new one."""

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import ConfigDict, Field

from edge.api.admin.rates import NewPrices, PriceVersion, version_of
from edge.api.session import Administrator
from edge.api.wire import Body, JsonRoute, Line, Page, PageQuery
from edge.deps import With
from privaterouter.catalog.v1 import catalog_pb2 as pb

Name = Annotated[Line, Field(min_length=1, max_length=100)]

router = APIRouter(prefix="/api/admin/prices", tags=["Administration"], route_class=JsonRoute)


class PriceQuery(PageQuery):
    """Whose prices to list."""

    model: Name = Field(description="The model's public name.")


class ListedPrice(PriceVersion):
    """A price version, and whether it is the one that counts."""

    is_current: bool


class PriceChange(Body):
    """The prices to give to a model from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "privaterouter/fast",
                    "prices": {"input_usd_per_mtok": "0.12", "output_usd_per_mtok": "0.36"},
                    "reason": "electricity",
                }
            ]
        }
    )

    model: Name
    prices: NewPrices
    reason: Line = Field("", description="Why, for the audit log.")


@router.get("")
async def prices(_: Administrator, query: Annotated[PriceQuery, InQuery()], deps: With) -> Page[ListedPrice]:
    """The price versions of a model, newest first; the newest 1,000 where there are more."""
    answer = await deps.clients.catalog.ListModelPrices(pb.ListModelPricesRequest(public_name=query.model))
    page = answer.prices[query.offset : query.offset + query.limit]
    items = [
        ListedPrice(**version_of(price).model_dump(), is_current=price.version_id == answer.current_version_id)
        for price in page
    ]
    return Page(items=items, total=len(answer.prices), limit=query.limit, offset=query.offset)


@router.post("")
async def set_prices(admin: Administrator, body: PriceChange, deps: With) -> PriceVersion:
    """Make new prices the current ones of a model. Prices that are current already make no new version.

    Requests that are running keep those they began with; other edges follow within two seconds.
    """
    request = pb.SetModelPriceRequest(
        public_name=body.model, price=body.prices.price(), actor_id=admin.user.id, reason=body.reason
    )
    answer = await deps.clients.catalog.SetModelPrice(request)
    await deps.catalogue.refresh()
    return version_of(answer.model.price)
