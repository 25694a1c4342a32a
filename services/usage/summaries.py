"""Sums of an account's records by day, model or key, read from the roll-ups."""

from dataclasses import fields
from datetime import date
from typing import NamedTuple
from uuid import UUID

from kit.database import Connection
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store_daily
from services.usage.errors import InvalidFilter
from services.usage.listing import read_api_key, read_model
from services.usage.store_daily import Range, Sums

_COLUMNS = {
    pb.SUMMARY_GROUP_DAY: "day",
    pb.SUMMARY_GROUP_MODEL: "model_public_name",
    pb.SUMMARY_GROUP_API_KEY: "api_key_id",
}


class Question(NamedTuple):
    """What to sum, and by which column."""

    column: str
    range: Range


def read_question(account_id: UUID, request: pb.SummarizeUsageRequest) -> Question:
    """The question of a request; InvalidFilter when it makes no sense."""
    column = _COLUMNS.get(request.group)
    if column is None:
        raise InvalidFilter("group is not day, model or key", field="group")
    from_day, to_day = _day(request.from_day, "from_day"), _day(request.to_day, "to_day")
    if from_day and to_day and from_day > to_day:
        raise InvalidFilter("from_day is after to_day", field="from_day")
    model, api_key_id = read_model(request.model_public_name), read_api_key(request.api_key_id)
    return Question(column, Range(account_id, from_day, to_day, model, api_key_id))


async def summarize(connection: Connection, question: Question) -> pb.SummarizeUsageResponse:
    """The sums of each group that has requests, and over all of them."""
    groups = await store_daily.sums_by(connection, question.column, question.range)
    total = Sums(*(sum(getattr(sums, field.name) for sums in groups.values()) for field in fields(Sums)))
    return pb.SummarizeUsageResponse(rows=[_row(value, sums) for value, sums in groups.items()], total=_row("", total))


def _row(value: str, sums: Sums) -> pb.SummaryRow:
    return pb.SummaryRow(
        group_value=value,
        requests=sums.requests,
        errors=sums.errors,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_nanos=sums.cost_nanos,
    )


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
