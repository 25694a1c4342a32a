"""What a user's calls used: the list, one call, sums, and all of it as CSV."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from fastapi import Query as InQuery
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from edge.api import usage_csv
from edge.api.charges import Ledger, PriceLine, Rounding, ledger_of, price_lines
from edge.api.csv_text import csv_answer
from edge.api.session import SignedIn
from edge.api.wire import Line, Moment, Page, PageQuery, Query, check_span, identifier, timestamp, utc
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.money import format_usd
from privaterouter.usage.v1 import usage_pb2 as pb

router = APIRouter(prefix="/api/usage", tags=["Usage"])

Status = Literal["success", "error", "cancelled", "interrupted"]
STATUSES: dict[pb.UsageStatus.ValueType, Status] = {
    pb.USAGE_STATUS_SUCCESS: "success",
    pb.USAGE_STATUS_ERROR: "error",
    pb.USAGE_STATUS_CANCELLED: "cancelled",
    pb.USAGE_STATUS_INTERRUPTED: "interrupted",
}
NUMBERS = {name: number for number, name in STATUSES.items()}
GroupBy = Literal["day", "model", "key"]
GROUPS: dict[GroupBy, pb.SummaryGroup.ValueType] = {
    "day": pb.SUMMARY_GROUP_DAY,
    "model": pb.SUMMARY_GROUP_MODEL,
    "key": pb.SUMMARY_GROUP_API_KEY,
}


class Filter(Query):
    """Which events to answer; each end of the time span may be left open."""

    model: Line | None = None
    key_id: Line | None = None
    status: Status | None = None
    from_time: Moment | None = Field(None, alias="from", description="Only from this time on.")
    to_time: Moment | None = Field(None, alias="to", description="Only before this time.")

    def pack(self) -> pb.UsageFilter:
        """As usage takes it. EdgeError invalid_parameter for a span that ends before it begins."""
        check_span(self.from_time, self.to_time)
        return pb.UsageFilter(
            model_public_name=self.model or "",
            api_key_id=_key_id(self.key_id),
            status=NUMBERS[self.status] if self.status else pb.USAGE_STATUS_UNSPECIFIED,
            from_time=timestamp(self.from_time),
            to_time=timestamp(self.to_time),
        )


class ListQuery(Filter, PageQuery):
    """Which page of which events."""


class SummaryQuery(Query):
    """What to sum up: whole UTC days, both included."""

    group_by: GroupBy = "day"
    split_by: GroupBy | None = Field(None, description="Split each group by this, which is another one than group_by.")
    model: Line | None = None
    key_id: Line | None = None
    from_day: Moment | None = Field(None, alias="from", description="Only from this UTC day on.")
    to_day: Moment | None = Field(None, alias="to", description="Only up to and with this UTC day.")


class Event(BaseModel):
    """What one call used."""

    id: str = Field(description="The call's `x-request-id`.")
    model_public_name: str
    served_model_public_name: str | None = Field(
        description="The model that answered in its place, at whose price the call is charged. Null: it did itself."
    )
    api_key_id: str
    endpoint: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: str = Field(examples=["0.0000041"])
    uncharged_usd: str = Field(description="What was used and not charged: a failed call costs nothing.")
    latency_ms: int
    first_token_ms: int | None
    status: Status
    http_status: int
    error_code: str | None
    finish_reason: str | None
    streamed: bool
    estimated: bool = Field(description="Whether the tokens are our own count, as the upstream gave none.")
    created_at: datetime

    @classmethod
    def of(cls, record: pb.UsageRecord) -> Self:
        """A record as answers show one."""
        return cls(
            id=record.request_id,
            model_public_name=record.model_public_name,
            served_model_public_name=record.served_model_public_name or None,
            api_key_id=record.api_key_id,
            endpoint=record.endpoint,
            input_tokens=record.input_tokens,
            cached_input_tokens=record.cached_input_tokens,
            cache_write_input_tokens=record.cache_write_input_tokens,
            output_tokens=record.output_tokens,
            reasoning_tokens=record.reasoning_tokens,
            cost_usd=format_usd(record.cost_nanos),
            uncharged_usd=format_usd(record.uncharged_nanos),
            latency_ms=record.latency_ms,
            first_token_ms=record.first_token_ms if record.HasField("first_token_ms") else None,
            status=STATUSES[record.status],
            http_status=record.http_status,
            error_code=record.error_code or None,
            finish_reason=record.finish_reason or None,
            streamed=record.streamed,
            estimated=record.estimated,
            created_at=utc(record.start_time),
        )


class Attempt(BaseModel):
    """One try to have a call served."""

    upstream_name: str
    upstream_model: str
    http_status: int | None = Field(description="What it was answered with. Null: not at all.")
    error_code: str | None = Field(description="Why it failed. Null: it did not.")
    duration_ms: int = Field(description="To its failure, or to the head of the answer.")

    @classmethod
    def of(cls, attempt: pb.Attempt) -> Self:
        """An attempt as answers show one."""
        return cls(
            upstream_name=attempt.upstream_name,
            upstream_model=attempt.upstream_model,
            http_status=attempt.http_status or None,
            error_code=attempt.error_code or None,
            duration_ms=attempt.duration_ms,
        )


class EventDetail(BaseModel):
    """One call with how its cost came about, and what the ledger has of it."""

    event: Event
    price_version_id: str
    price_lines: list[PriceLine]
    rounding: Rounding
    held_usd: str = Field(description="What was set aside for it while it ran: no call is charged more.")
    uncharged_usd: str = Field(description="What of the rounded cost is not charged.")
    lease_id: str | None = Field(description="The credit that it was held on; null where it needed none.")
    attempts: list[Attempt] = Field(
        description="Where it was tried, the last one served it; empty where the first did, and without a failure."
    )
    ledger: Ledger


class Sums(BaseModel):
    """Sums over calls."""

    requests: int
    errors: int = Field(description="Calls that did not end in success.")
    input_tokens: int = Field(description="Cached tokens and those written into a cache included.")
    cached_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int = Field(description="Tokens of hidden reasoning included.")
    reasoning_tokens: int
    cost_usd: str

    @classmethod
    def values(cls, row: pb.SummaryRow) -> dict[str, int | str]:
        """The fields of a row."""
        return {
            "requests": row.requests,
            "errors": row.errors,
            "input_tokens": row.input_tokens,
            "cached_input_tokens": row.cached_input_tokens,
            "cache_write_input_tokens": row.cache_write_input_tokens,
            "output_tokens": row.output_tokens,
            "reasoning_tokens": row.reasoning_tokens,
            "cost_usd": format_usd(row.cost_nanos),
        }


class Group(Sums):
    """Sums over the calls of one day, model or key."""

    group: str = Field(description="The day, the model's public name, or the key's id.")
    split: str | None = Field(description="What the group is split by, in the same forms. Null: it is not.")


class Summary(BaseModel):
    """Sums by group, and over all."""

    group_by: GroupBy
    split_by: GroupBy | None
    items: list[Group]
    totals: Sums


@router.get("")
async def list_usage(login: SignedIn, query: Annotated[ListQuery, InQuery()], deps: With) -> Page[Event]:
    """The calls, newest first."""
    return await page_of(deps, login.user.id, query)


@router.get("/summary")
async def summary(login: SignedIn, query: Annotated[SummaryQuery, InQuery()], deps: With) -> Summary:
    """Sums by day, model or key."""
    return await summary_of(deps, login.user.id, query)


@router.get(
    "/export.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export(login: SignedIn, query: Annotated[Filter, InQuery()], deps: With) -> StreamingResponse:
    """All calls that match, as CSV, newest first."""
    lines = usage_csv.lines(deps.clients.usage, login.user.id, matching=query.pack())
    return await csv_answer(lines, filename="usage.csv")


@router.get("/{request_id}")
async def one(request_id: str, login: SignedIn, deps: With) -> EventDetail:
    """One call, with how its cost came about and what the ledger has of it."""
    known = identifier(request_id, code="usage_not_found", what="usage event")
    answer = await deps.clients.usage.GetUsage(pb.GetUsageRequest(account_id=login.user.id, request_id=known))
    record = answer.record
    return EventDetail(
        event=Event.of(record),
        price_version_id=record.price_version_id,
        price_lines=price_lines(record),
        rounding=Rounding.of(record),
        held_usd=format_usd(record.held_nanos),
        uncharged_usd=format_usd(record.uncharged_nanos),
        lease_id=record.lease_id or None,
        attempts=[Attempt.of(attempt) for attempt in record.attempts],
        ledger=await ledger_of(deps.clients.billing, record),
    )


async def page_of(deps: Deps, account_id: str, query: ListQuery) -> Page[Event]:
    """One page of an account's calls."""
    request = pb.ListUsageRequest(account_id=account_id, filter=query.pack(), limit=query.limit, offset=query.offset)
    answer = await deps.clients.usage.ListUsage(request)
    items = [Event.of(record) for record in answer.records]
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


async def summary_of(deps: Deps, account_id: str, query: SummaryQuery) -> Summary:
    """Sums over an account's calls. EdgeError invalid_parameter for groups that are split by themselves."""
    if query.split_by == query.group_by:
        raise EdgeError("invalid_parameter", "split_by must be another one than group_by.", param="split_by")
    request = pb.SummarizeUsageRequest(
        account_id=account_id,
        group=GROUPS[query.group_by],
        split=GROUPS[query.split_by] if query.split_by else pb.SUMMARY_GROUP_UNSPECIFIED,
        from_day=_day(query.from_day),
        to_day=_day(query.to_day),
        model_public_name=query.model or "",
        api_key_id=_key_id(query.key_id),
    )
    answer = await deps.clients.usage.SummarizeUsage(request)
    return Summary(
        group_by=query.group_by,
        split_by=query.split_by,
        items=[
            Group.model_validate(Sums.values(row) | {"group": row.group_value, "split": row.split_value or None})
            for row in answer.rows
        ],
        totals=Sums.model_validate(Sums.values(answer.total)),
    )


def _key_id(given: str | None) -> str:
    if not given:
        return ""
    return identifier(given, code="api_key_not_found", what="API key")


def _day(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else ""
