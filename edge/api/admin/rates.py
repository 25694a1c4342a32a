"""What models cost, in the shapes that administration reads and writes: dollars for a million tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edge.api.wire import AMOUNT_ERROR, Body, Usd, utc
from edge.errors import EdgeError
from kit.money import NANOS_PER_USD, format_price
from privaterouter.catalog.v1 import catalog_pb2 as pb

MAX_USD_PER_MTOK = 10_000
"""The most that the catalogue takes for a million tokens."""


def _in_range(nanos_per_mtok: int) -> int:
    if not 0 <= nanos_per_mtok <= MAX_USD_PER_MTOK * NANOS_PER_USD:
        raise PydanticCustomError(AMOUNT_ERROR, f"must be between 0 and {MAX_USD_PER_MTOK} dollars")
    return nanos_per_mtok


Rate = Annotated[Usd, AfterValidator(_in_range)]
"""Dollars for a million tokens, in nano-dollars here."""


class NewPrices(Body):
    """Prices to give to a model, in US dollars for a million tokens; null: as input."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input_usd_per_mtok": "0.12", "output_usd_per_mtok": "0.36"}]}
    )

    input_usd_per_mtok: Rate
    cached_input_usd_per_mtok: Rate | None = Field(None, description="Of prompt tokens that come out of a cache.")
    cache_write_input_usd_per_mtok: Rate | None = Field(None, description="Of prompt tokens written into a cache.")
    output_usd_per_mtok: Rate = Field(description="0 for embeddings.")

    def price(self) -> pb.Price:
        """The contract's message. EdgeError invalid_amount where cached tokens would cost more than others."""
        if (self.cached_input_usd_per_mtok or 0) > self.input_usd_per_mtok:
            field = "prices.cached_input_usd_per_mtok"
            raise EdgeError("invalid_amount", f"{field}: must not be above input_usd_per_mtok.", param=field)
        return pb.Price(
            input_nanos_per_mtok=self.input_usd_per_mtok,
            cached_input_nanos_per_mtok=self.cached_input_usd_per_mtok,
            cache_write_input_nanos_per_mtok=self.cache_write_input_usd_per_mtok,
            output_nanos_per_mtok=self.output_usd_per_mtok,
        )


class PriceVersion(BaseModel):
    """What a model costs from some time on, in US dollars for a million tokens; null: as input. It never changes."""

    version_id: str
    input_usd_per_mtok: str = Field(examples=["0.120000"])
    cached_input_usd_per_mtok: str | None
    cache_write_input_usd_per_mtok: str | None
    output_usd_per_mtok: str = Field(examples=["0.360000"])
    effective_at: datetime


def version_of(price: pb.Price) -> PriceVersion:
    """A price version as answers show it."""
    cached = price.HasField("cached_input_nanos_per_mtok")
    write = price.HasField("cache_write_input_nanos_per_mtok")
    return PriceVersion(
        version_id=price.version_id,
        input_usd_per_mtok=format_price(price.input_nanos_per_mtok),
        cached_input_usd_per_mtok=format_price(price.cached_input_nanos_per_mtok) if cached else None,
        cache_write_input_usd_per_mtok=format_price(price.cache_write_input_nanos_per_mtok) if write else None,
        output_usd_per_mtok=format_price(price.output_nanos_per_mtok),
        effective_at=utc(price.effective_time),
    )
