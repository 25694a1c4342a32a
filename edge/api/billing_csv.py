"""Transactions as CSV, a page at a time, so that their number costs no memory."""

from collections.abc import AsyncIterator

from edge.api.csv_text import FIRST, NEWEST, csv_text
from kit.money import format_usd
from kit.timestamps import from_proto
from privaterouter.billing.v1 import billing_pb2 as pb
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub

PAGE = 1_000
HEADER = ("id", "created_at", "kind", "amount_usd", "description", "request_id", "api_key_id")


async def lines(billing: BillingServiceStub, wanted: pb.ListTransactionsRequest) -> AsyncIterator[str]:
    """The header with the first page, then the other pages. Raises RemoteError."""
    request = pb.ListTransactionsRequest()
    request.CopyFrom(wanted)
    request.limit, request.before_transaction_id = min(FIRST, PAGE), NEWEST
    request.ClearField("offset")
    header: tuple[str, ...] | None = HEADER
    while True:
        rows = (await billing.ListTransactions(request)).transactions
        yield csv_text(header, map(_row, rows))
        if len(rows) < request.limit:
            return
        request.limit, request.before_transaction_id, header = PAGE, rows[-1].id, None


def _row(row: pb.Transaction) -> tuple[object, ...]:
    return (
        row.id,
        from_proto(row.create_time).isoformat().replace("+00:00", "Z"),
        pb.TransactionKind.Name(row.kind).removeprefix("TRANSACTION_KIND_").lower(),
        format_usd(row.amount_nanos),
        row.description,
        row.request_id,
        row.api_key_id,
    )
