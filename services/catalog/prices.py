"""Prices: immutable versions, and which one is current."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection
from services.catalog import store_models
from services.catalog.errors import InvalidPrice
from services.catalog.rows import Model, Price

MAX_NANOS_PER_MTOK = 10_000 * 1_000_000_000
"""Ten thousand dollars a million tokens: far beyond any model, and 10 million tokens of it still fit int64."""

RATES = (
    "input_nanos_per_mtok",
    "cached_input_nanos_per_mtok",
    "cache_write_input_nanos_per_mtok",
    "output_nanos_per_mtok",
)
"""What a price consists of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a price version charges, in nano-dollars for a million tokens; None means the input rate."""

    input_nanos_per_mtok: int
    cached_input_nanos_per_mtok: int | None
    output_nanos_per_mtok: int
    cache_write_input_nanos_per_mtok: int | None = None

    def check(self) -> None:
        """InvalidPrice for a rate below 0 or absurdly high, or a cached rate above the input rate.

        What comes out of a cache never costs more than what does not; writing into it may.
        """
        for field in RATES:
            rate: int | None = getattr(self, field)
            if rate is not None and not 0 <= rate <= MAX_NANOS_PER_MTOK:
                raise InvalidPrice(f"{field} must be between 0 and {MAX_NANOS_PER_MTOK}, not {rate}", field=field)
        if (self.cached_input_nanos_per_mtok or 0) > self.input_nanos_per_mtok:
            raise InvalidPrice(
                "cached_input_nanos_per_mtok must not be above input_nanos_per_mtok",
                field="cached_input_nanos_per_mtok",
            )

    def version(self, version_id: UUID, now: datetime) -> Price:
        """These rates as a new version, in force from `now` on."""
        return Price(
            version_id=version_id,
            input_nanos_per_mtok=self.input_nanos_per_mtok,
            cached_input_nanos_per_mtok=self.cached_input_nanos_per_mtok,
            cache_write_input_nanos_per_mtok=self.cache_write_input_nanos_per_mtok,
            output_nanos_per_mtok=self.output_nanos_per_mtok,
            effective_time=now,
        )


def rates_of(price: Price) -> Rates:
    """What a version charges, to compare with."""
    return Rates(
        input_nanos_per_mtok=price.input_nanos_per_mtok,
        cached_input_nanos_per_mtok=price.cached_input_nanos_per_mtok,
        cache_write_input_nanos_per_mtok=price.cache_write_input_nanos_per_mtok,
        output_nanos_per_mtok=price.output_nanos_per_mtok,
    )


async def set_price(connection: Connection, model: Model, *, rates: Rates, version_id: UUID, now: datetime) -> Model:
    """Make `rates` the model's current price; nothing is written where they are that already.

    Returns the model after it. Raises InvalidPrice.
    """
    rates.check()
    if rates == rates_of(model.price):
        return model
    price = rates.version(version_id, now)
    await store_models.insert_price(connection, model.id, price=price)
    await store_models.point_to_price(connection, model.id, version_id=version_id)
    return model.with_price(price)
