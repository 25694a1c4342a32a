"""A user's money: balance, top-up, transactions."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Header
from fastapi import Query as InQuery
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from edge.api import billing_csv
from edge.api.csv_text import csv_answer
from edge.api.session import SignedIn
from edge.api.wire import Body, JsonRoute, Moment, Page, PageQuery, Query, Usd, check_span, timestamp, utc
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.errors import RemoteError
from kit.money import format_usd
from privaterouter.billing.v1 import billing_pb2 as pb

TOP_UP_USD = (10, 25, 50, 100, 500)

router = APIRouter(prefix="/api/billing", tags=["Billing"], route_class=JsonRoute)

Kind = Literal["charge", "top_up", "plan_credit", "adjustment"]
KINDS: dict[pb.TransactionKind.ValueType, Kind] = {
    pb.TRANSACTION_KIND_CHARGE: "charge",
    pb.TRANSACTION_KIND_TOP_UP: "top_up",
    pb.TRANSACTION_KIND_PLAN_CREDIT: "plan_credit",
    pb.TRANSACTION_KIND_ADJUSTMENT: "adjustment",
}
NUMBERS = {name: number for number, name in KINDS.items()}
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Sending the same key again books nothing twice.",
    ),
]


class TopUp(Body):
    """How much to add: 10, 25, 50, 100 or 500 dollars."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount_usd": 10}]})

    amount_usd: Usd


class Balance(BaseModel):
    """What an account has."""

    balance_usd: str = Field(examples=["11.00"])
    plan_name: str = Field(examples=["free"])
    monthly_quota_tokens: int | None


class Transaction(BaseModel):
    """One change of the balance."""

    id: str
    kind: Kind
    amount_usd: str = Field(description="Negative where it took.", examples=["-0.0000041"])
    description: str
    request_id: str | None = Field(description="The call that was charged, or whose charge was corrected.")
    api_key_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, transaction: pb.Transaction) -> Self:
        """A transaction as answers show one."""
        return cls(
            id=transaction.id,
            kind=KINDS[transaction.kind],
            amount_usd=format_usd(transaction.amount_nanos),
            description=transaction.description,
            request_id=transaction.request_id or None,
            api_key_id=transaction.api_key_id or None,
            created_at=utc(transaction.create_time),
        )


class TransactionFilter(Query):
    """Which transactions to answer; each end of the time span may be left open."""

    kind: Kind | None = None
    from_time: Moment | None = Field(None, alias="from", description="Only from this time on.")
    to_time: Moment | None = Field(None, alias="to", description="Only before this time.")

    def pack(self, account_id: str) -> pb.ListTransactionsRequest:
        """As billing takes it. EdgeError invalid_parameter for a span that ends before it begins."""
        check_span(self.from_time, self.to_time)
        return pb.ListTransactionsRequest(
            account_id=account_id,
            kinds=[NUMBERS[self.kind]] if self.kind else [],
            from_time=timestamp(self.from_time),
            to_time=timestamp(self.to_time),
        )


class TransactionQuery(TransactionFilter, PageQuery):
    """Which page of which transactions."""


@router.get("/balance")
async def balance(login: SignedIn, deps: With) -> Balance:
    """The balance, as the ledger has it."""
    try:
        answer = await deps.clients.billing.GetBalance(pb.GetBalanceRequest(account_id=login.user.id))
    except RemoteError as error:
        raise not_open_yet(error) from None
    return balance_of(deps, answer.account)


@router.post("/topup")
async def top_up(login: SignedIn, body: TopUp, deps: With, idempotency_key: IdempotencyKey = None) -> Balance:
    """Add credit. No card is charged: payment is a mock."""
    if body.amount_usd not in [usd * 1_000_000_000 for usd in TOP_UP_USD]:
        allowed = ", ".join(str(usd) for usd in TOP_UP_USD)
        raise EdgeError("invalid_amount", f"amount_usd must be one of {allowed}.", param="amount_usd")
    request = pb.TopUpRequest(
        account_id=login.user.id,
        amount_nanos=body.amount_usd,
        idempotency_key=idempotency_key or str(deps.ids()),
    )
    try:
        answer = await deps.clients.billing.TopUp(request)
    except RemoteError as error:
        raise not_open_yet(error) from None
    return balance_of(deps, answer.account)


@router.get("/transactions")
async def transactions(login: SignedIn, query: Annotated[TransactionQuery, InQuery()], deps: With) -> Page[Transaction]:
    """What changed the balance, newest first."""
    try:
        return await transactions_of(deps, login.user.id, query)
    except RemoteError as error:
        raise not_open_yet(error) from None


@router.get(
    "/transactions/export.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export(login: SignedIn, query: Annotated[TransactionFilter, InQuery()], deps: With) -> StreamingResponse:
    """All transactions that match, as CSV, newest first."""
    lines = billing_csv.lines(deps.clients.billing, query.pack(login.user.id))
    try:
        return await csv_answer(lines, filename="transactions.csv")
    except RemoteError as error:
        raise not_open_yet(error) from None


async def transactions_of(deps: Deps, account_id: str, query: TransactionQuery) -> Page[Transaction]:
    """One page of an account's transactions."""
    request = query.pack(account_id)
    request.limit, request.offset = query.limit, query.offset
    answer = await deps.clients.billing.ListTransactions(request)
    items = [Transaction.of(transaction) for transaction in answer.transactions]
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


def balance_of(deps: Deps, account: pb.Account) -> Balance:
    """An account as answers show it."""
    plan = deps.catalogue.current().plans.get(account.plan_id)
    return Balance(
        balance_usd=format_usd(account.posted_nanos),
        plan_name=account.plan_id,
        monthly_quota_tokens=plan.monthly_quota_tokens if plan else None,
    )


def not_open_yet(error: RemoteError) -> Exception:
    """A user always gets an account, if not at once: until then, try again."""
    if error.reason == "ACCOUNT_NOT_FOUND":
        return EdgeError(
            "service_unavailable",
            "Your account is still being opened. Try again in a moment.",
            headers={"retry-after": "1"},
        )
    return error
