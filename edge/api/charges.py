"""How the cost of one call came about: prices, rounding, and what the ledger has of it."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from edge.api.billing import KINDS, Kind
from edge.api.wire import utc
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.money import cost_nanos, format_exact_cost, format_price, format_usd
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2

LEDGER_TIMEOUT_S = 2.0
"""The rest of the answer is worth having without the ledger, so it does not wait long for it."""

Item = Literal["input", "cached_input", "cache_write_input", "output"]
State = Literal["booked", "pending", "not_charged", "unavailable"]

log = get_logger()


class PriceLine(BaseModel):
    """One class of tokens of a call; the lines' amounts add up to the call's cost before limits."""

    item: Item
    tokens: int
    usd_per_mtok: str
    amount_usd: str = Field(description="What the line adds to the rounded sum.")
    exact_usd: str = Field(description="Tokens times price, not rounded.")


class Rounding(BaseModel):
    """How the lines became an amount: added up exactly, then rounded once."""

    exact_usd: str = Field(description="The sum before rounding.", examples=["0.00000000145"])
    direction: Literal["up"]
    step_usd: str = Field(examples=["0.000000001"])
    rounded_usd: str = Field(description="What was charged, and what was not, together.", examples=["0.000000002"])

    @classmethod
    def of(cls, record: usage_pb2.UsageRecord) -> Self:
        """Of a record; it is never recomputed from a price that may have changed."""
        parts = [(tokens, nanos_per_mtok) for _, tokens, nanos_per_mtok in parts_of(record)]
        return cls(
            exact_usd=format_exact_cost(*parts),
            direction="up",
            step_usd=format_usd(1),
            rounded_usd=format_usd(cost_nanos(*parts)),
        )


class LedgerTransaction(BaseModel):
    """A charge, or a correction of one."""

    id: str
    kind: Kind
    revision: int | None = Field(description="Of a charge: 1, or 2 for a later difference. Null: a correction.")
    amount_usd: str = Field(description="Negative where it took.", examples=["-0.0000041"])
    absorbed_usd: str = Field(description="What of it your balance could not pay, and we bore.")
    lease_id: str | None
    price_version_id: str | None
    description: str
    created_at: datetime

    @classmethod
    def of(cls, row: billing_pb2.RequestTransaction) -> Self:
        """A transaction as answers show one."""
        return cls(
            id=row.transaction.id,
            kind=KINDS[row.transaction.kind],
            revision=row.revision or None,
            amount_usd=format_usd(row.transaction.amount_nanos),
            absorbed_usd=format_usd(row.absorbed_nanos),
            lease_id=row.lease_id or None,
            price_version_id=row.price_version_id or None,
            description=row.transaction.description,
            created_at=utc(row.transaction.create_time),
        )


class Ledger(BaseModel):
    """What the ledger has of a call."""

    state: State = Field(
        description="booked: all of its cost. pending: not all of it yet. not_charged: it cost nothing. "
        "unavailable: the ledger cannot be asked at this moment."
    )
    paid_usd: str | None = Field(description="What you have paid for it, corrections included; null until it is known.")
    transactions: list[LedgerTransaction] | None = Field(description="Oldest first; null where state is unavailable.")


def parts_of(record: usage_pb2.UsageRecord) -> list[tuple[Item, int, int]]:
    """Each class of tokens: its name, how many, and nano-dollars for a million. Each token is counted once."""
    plain = record.input_tokens - record.cached_input_tokens - record.cache_write_input_tokens
    return [
        ("input", plain, record.input_nanos_per_mtok),
        ("cached_input", record.cached_input_tokens, record.cached_input_nanos_per_mtok),
        ("cache_write_input", record.cache_write_input_tokens, record.cache_write_input_nanos_per_mtok),
        ("output", record.output_tokens, record.output_nanos_per_mtok),
    ]


def price_lines(record: usage_pb2.UsageRecord) -> list[PriceLine]:
    """A line for each class of tokens that there are any of."""
    lines, before, priced = [], 0, []
    for item, tokens, nanos_per_mtok in parts_of(record):
        priced.append((tokens, nanos_per_mtok))
        total = cost_nanos(*priced)
        if tokens:
            lines.append(
                PriceLine(
                    item=item,
                    tokens=tokens,
                    usd_per_mtok=format_price(nanos_per_mtok),
                    amount_usd=format_usd(total - before),
                    exact_usd=format_exact_cost((tokens, nanos_per_mtok)),
                )
            )
        before = total
    return lines


async def ledger_of(billing: BillingServiceStub, record: usage_pb2.UsageRecord) -> Ledger:
    """What billing has of a final record; where it cannot be asked, this says so instead of failing."""
    request = billing_pb2.GetChargesRequest(account_id=record.account_id, request_id=record.request_id)
    try:
        rows = (await billing.GetCharges(request, timeout=LEDGER_TIMEOUT_S)).transactions
    except RemoteError as error:
        log.warning("ledger_not_asked", error=str(error))
        return Ledger(state="unavailable", paid_usd=None, transactions=None)
    charged_nanos = sum(
        row.absorbed_nanos - row.transaction.amount_nanos
        for row in rows
        if row.transaction.kind == billing_pb2.TRANSACTION_KIND_CHARGE
    )
    state: State = "booked" if rows else "not_charged"
    if charged_nanos != record.cost_nanos:
        state = "pending"
    return Ledger(
        state=state,
        paid_usd=None if state == "pending" else format_usd(-sum(row.transaction.amount_nanos for row in rows)),
        transactions=[LedgerTransaction.of(row) for row in rows],
    )
