"""Sums of records by day, model, key or account, read from the roll-ups."""

from dataclasses import asdict
from datetime import date
from typing import NamedTuple
from uuid import UUID

from kit.database import Connection
from kit.paging import page
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store_daily, store_totals
from services.usage.errors import InvalidFilter
from services.usage.listing import read_api_key, read_model
from services.usage.store_daily import SUMMED, Range, Sums
from services.usage.store_totals import Span

MOST_GROUPS = 1_000

_COLUMNS = {
    pb.SUMMARY_GROUP_DAY: "day",
    pb.SUMMARY_GROUP_MODEL: "model_public_name",
    pb.SUMMARY_GROUP_API_KEY: "api_key_id",
}


class Question(NamedTuple):
    """What to sum, by which column, and by which second one."""

    column: str
    split: str | None
    range: Range


class AllQuestion(NamedTuple):
    """What to sum over all accounts, and how many groups to return."""

    group: pb.SummaryGroup.ValueType
    span: Span
    limit: int


def read_question(account_id: UUID, request: pb.SummarizeUsageRequest) -> Question:
    """The question of a request; InvalidFilter when it makes no sense."""
    column, split = _COLUMNS.get(request.group), _COLUMNS.get(request.split)
    if column is None:
        raise InvalidFilter("group is not day, model or key", field="group")
    if request.split and (split is None or split == column):
        raise InvalidFilter("split is not another one of day, model and key", field="split")
    from_day, to_day = _days(request.from_day, request.to_day)
    model, api_key_id = read_model(request.model_public_name), read_api_key(request.api_key_id)
    return Question(column, split, Range(account_id, from_day, to_day, model, api_key_id))


async def summarize(connection: Connection, question: Question) -> pb.SummarizeUsageResponse:
    """The sums of each group that has requests, and over all of them."""
    groups = await store_daily.sums_by(connection, question.column, question.split, question.range)
    total = Sums(*(sum(getattr(sums, name) for sums in groups.values()) for name in SUMMED))
    rows = [_row(value, sums, split_value=part) for (value, part), sums in groups.items()]
    return pb.SummarizeUsageResponse(rows=rows, total=_row("", total))


def read_all_question(request: pb.SummarizeAllUsageRequest) -> AllQuestion:
    """The question of a request over all accounts; InvalidFilter when it makes no sense."""
    if request.group not in (pb.SUMMARY_GROUP_DAY, pb.SUMMARY_GROUP_MODEL, pb.SUMMARY_GROUP_ACCOUNT):
        raise InvalidFilter("group is not day, model or account", field="group")
    model = read_model(request.model_public_name)
    if request.group == pb.SUMMARY_GROUP_ACCOUNT and (model or request.chargeable_only):
        field = "model_public_name" if model else "chargeable_only"
        raise InvalidFilter(f"{field} does not go together with accounts", field=field)
    from_day, to_day = _days(request.from_day, request.to_day)
    limit, _ = page(request.limit, 0, maximum=MOST_GROUPS)
    return AllQuestion(request.group, Span(from_day, to_day, model, request.chargeable_only), limit)


async def summarize_all(connection: Connection, question: AllQuestion) -> pb.SummarizeAllUsageResponse:
    """The sums of the groups that were asked for, and over all groups."""
    if question.group == pb.SUMMARY_GROUP_DAY:
        found = await store_totals.by_day(connection, question.span)
    elif question.group == pb.SUMMARY_GROUP_MODEL:
        found = await store_totals.by_model(connection, question.span, limit=question.limit)
    else:
        found = await store_totals.by_account(connection, question.span, limit=question.limit)
    rows = [_row(value, sums) for value, sums in found.groups.items()]
    return pb.SummarizeAllUsageResponse(rows=rows, total=_row("", found.total), groups=found.count)


def _row(value: str, sums: Sums, *, split_value: str = "") -> pb.SummaryRow:
    return pb.SummaryRow(group_value=value, split_value=split_value, **asdict(sums))


def _days(from_text: str, to_text: str) -> tuple[date | None, date | None]:
    from_day, to_day = _day(from_text, "from_day"), _day(to_text, "to_day")
    if from_day and to_day and from_day > to_day:
        raise InvalidFilter("from_day is after to_day", field="from_day")
    return from_day, to_day


def _day(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # fromisoformat also reads other forms, such as week dates.
    if day is None or day.isoformat() != text:
        raise InvalidFilter(f"{name} is not a day such as 2026-05-15", field=name)
    return day
