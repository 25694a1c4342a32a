"""What operators read: how the whole is doing, what a user used and paid, and the ledger of all accounts."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from edge.api import billing, usage
from edge.api.session import Administrator
from edge.api.wire import Line, Page, PageQuery, Query, identifier
from edge.deps import Deps, With
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.money import format_usd
from kit.timestamps import to_proto
from privaterouter.auth.v1 import auth_pb2
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2

TOP = 10

log = get_logger()

router = APIRouter(prefix="/api/admin", tags=["Administration"])


class OverviewQuery(Query):
    """How many UTC days to look at, today included."""

    days: Literal["1", "7", "30", "90"] = "30"


class Traffic(BaseModel):
    """Sums over calls."""

    requests: int
    revenue_usd: str = Field(description="What calls were charged.")
    input_tokens: int
    output_tokens: int


class Day(Traffic):
    """One UTC day."""

    day: str = Field(examples=["2026-05-15"])
    errors: int = Field(description="Calls that did not end in success.")


class TopModel(Traffic):
    """A model; a call is that of the model that answered it."""

    model: str


class TopUser(BaseModel):
    """A user whose calls were charged most."""

    user_id: str
    email: str | None = Field(description="Null: it cannot be told at this moment.")
    requests: int
    revenue_usd: str


class Overview(Traffic):
    """How the whole is doing: sums over whole UTC days, the last of which goes on."""

    days: int
    first_day: str = Field(serialization_alias="from", examples=["2026-05-15"])
    last_day: str = Field(serialization_alias="to", examples=["2026-05-15"])
    errors: int = Field(description="Calls that did not end in success.")
    credits_sold_usd: str = Field(description="Top-ups.")
    credits_granted_usd: str = Field(
        description="Included credits of plans, and what operators gave, but no corrections of charges."
    )
    active_users: int = Field(
        description="Users who made calls. Of many users, this and `top_users` are at most a minute old."
    )
    new_users: int
    by_day: list[Day] = Field(description="Every day, also those without calls.")
    top_models: list[TopModel] = Field(description="The ten that were charged most for.")
    top_users: list[TopUser] = Field(description="The ten who were charged most.")


class LedgerQuery(PageQuery):
    """Which page of which transactions."""

    kind: billing.Kind | None = None
    account_id: Line | None = None


class AccountTransaction(billing.Transaction):
    """A transaction and the account that it is of, whose id is the user's."""

    account_id: str
    email: str | None = Field(description="Of the account's user. Null: it cannot be told at this moment.")
    actor_id: str | None = Field(description="The operator of an adjustment or plan change.")


class LedgerTotals(BaseModel):
    """The balance of each kind of account; they sum to 0. House accounts that have paid are below 0."""

    customer_usd: str = Field(description="What users have.")
    revenue_usd: str = Field(description="What calls were charged.")
    promo_usd: str = Field(description="What plans included.")
    cash_usd: str = Field(description="What was paid in.")
    adjustments_usd: str = Field(description="What operators took, less what they gave.")
    absorbed_usd: str = Field(description="What users could not pay of their charges.")


@router.get("/overview")
async def overview(_: Administrator, query: Annotated[OverviewQuery, InQuery()], deps: With) -> Overview:
    """Revenue, calls, tokens and users of the last days."""
    today, length = datetime.now(UTC).date(), int(query.days)
    first = today - timedelta(days=length - 1)
    begin = datetime.combine(first, time(), UTC)
    end = datetime.combine(today + timedelta(days=1), time(), UTC)

    def sums(group: usage_pb2.SummaryGroup.ValueType) -> usage_pb2.SummarizeAllUsageRequest:
        return usage_pb2.SummarizeAllUsageRequest(
            group=group, from_day=first.isoformat(), to_day=today.isoformat(), limit=TOP
        )

    clients = deps.clients
    by_day, by_model, by_account, credit, created = await asyncio.gather(
        clients.usage.SummarizeAllUsage(sums(usage_pb2.SUMMARY_GROUP_DAY)),
        clients.usage.SummarizeAllUsage(sums(usage_pb2.SUMMARY_GROUP_MODEL)),
        clients.usage.SummarizeAllUsage(sums(usage_pb2.SUMMARY_GROUP_ACCOUNT)),
        clients.billing.SumCredits(billing_pb2.SumCreditsRequest(from_time=to_proto(begin), to_time=to_proto(end))),
        clients.auth.ListUsers(auth_pb2.ListUsersRequest(limit=1, from_time=to_proto(begin))),
    )
    days = {row.group_value: row for row in by_day.rows}
    names = [(first + timedelta(days=number)).isoformat() for number in range(length)]
    emails = await emails_of(deps, [row.group_value for row in by_account.rows])
    sums_of_all: dict[str, object] = {
        "days": length,
        "first_day": names[0],
        "last_day": names[-1],
        "errors": by_day.total.errors,
        "credits_sold_usd": format_usd(credit.top_up_nanos),
        "credits_granted_usd": format_usd(credit.granted_nanos),
        "active_users": by_account.groups,
        "new_users": created.total,
        "by_day": [_day(name, days.get(name, usage_pb2.SummaryRow())) for name in names],
        "top_models": [TopModel.model_validate(_traffic(row) | {"model": row.group_value}) for row in by_model.rows],
        "top_users": [
            TopUser(
                user_id=row.group_value,
                email=emails.get(row.group_value),
                requests=row.requests,
                revenue_usd=format_usd(row.cost_nanos),
            )
            for row in by_account.rows
        ],
    }
    return Overview.model_validate(_traffic(by_day.total) | sums_of_all)


@router.get("/users/{user_id}/usage")
async def user_usage(
    user_id: str, _: Administrator, query: Annotated[usage.ListQuery, InQuery()], deps: With
) -> Page[usage.Event]:
    """A user's calls, newest first."""
    return await usage.page_of(deps, _user_id(user_id), query)


@router.get("/users/{user_id}/usage/summary")
async def user_summary(
    user_id: str, _: Administrator, query: Annotated[usage.SummaryQuery, InQuery()], deps: With
) -> usage.Summary:
    """Sums over a user's calls by day, model or key."""
    return await usage.summary_of(deps, _user_id(user_id), query)


@router.get("/users/{user_id}/transactions")
async def user_transactions(
    user_id: str, _: Administrator, query: Annotated[billing.TransactionQuery, InQuery()], deps: With
) -> Page[billing.Transaction]:
    """What changed a user's balance, newest first."""
    return await billing.transactions_of(deps, _user_id(user_id), query)


@router.get("/ledger")
async def ledger(_: Administrator, query: Annotated[LedgerQuery, InQuery()], deps: With) -> Page[AccountTransaction]:
    """The transactions of all accounts, newest first."""
    request = billing_pb2.ListAllTransactionsRequest(
        limit=query.limit,
        offset=query.offset,
        kind=billing.NUMBERS[query.kind] if query.kind else billing_pb2.TRANSACTION_KIND_UNSPECIFIED,
        account_id=_user_id(query.account_id) if query.account_id else "",
    )
    answer = await deps.clients.billing.ListAllTransactions(request)
    emails = await emails_of(deps, sorted({row.account_id for row in answer.transactions}))
    items = [
        AccountTransaction(
            **billing.Transaction.of(row.transaction).model_dump(),
            account_id=row.account_id,
            email=emails.get(row.account_id),
            actor_id=row.transaction.actor_id or None,
        )
        for row in answer.transactions
    ]
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


@router.get("/ledger/totals")
async def ledger_totals(_: Administrator, deps: With) -> LedgerTotals:
    """The balances of the ledger's accounts, in one snapshot."""
    totals = await deps.clients.billing.GetLedgerTotals(billing_pb2.GetLedgerTotalsRequest())
    return LedgerTotals(
        customer_usd=format_usd(totals.customer_nanos),
        revenue_usd=format_usd(totals.revenue_nanos),
        promo_usd=format_usd(totals.promo_nanos),
        cash_usd=format_usd(totals.cash_nanos),
        adjustments_usd=format_usd(totals.adjustments_nanos),
        absorbed_usd=format_usd(totals.absorbed_nanos),
    )


async def emails_of(deps: Deps, user_ids: list[str]) -> dict[str, str]:
    """The e-mails of these users; none where they cannot be asked for now."""
    try:
        answer = await deps.clients.auth.BatchGetUsers(auth_pb2.BatchGetUsersRequest(user_ids=user_ids))
    except RemoteError as error:
        log.warning("emails_not_asked", error=str(error))
        return {}
    return {user.id: user.email for user in answer.users}


def _traffic(row: usage_pb2.SummaryRow) -> dict[str, int | str]:
    return {
        "requests": row.requests,
        "revenue_usd": format_usd(row.cost_nanos),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
    }


def _day(name: str, row: usage_pb2.SummaryRow) -> Day:
    return Day.model_validate(_traffic(row) | {"day": name, "errors": row.errors})


def _user_id(given: str) -> str:
    return identifier(given, code="user_not_found", what="user")
