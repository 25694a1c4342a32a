"""Which final records of an account a list shows, and how many there are."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kit.database import Connection
from kit.errors import InvalidArgument
from kit.ids import lowest_id, parse_uuid
from kit.timestamps import from_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store, store_daily
from services.usage.errors import InvalidFilter
from services.usage.records import STATUSES, Status
from services.usage.store import LATEST
from services.usage.store_daily import Range

_FIRST_YEAR = 1900
_DAY = timedelta(days=1)
_NO_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records of an account; None for all."""

    account_id: UUID
    model_public_name: str | None
    api_key_id: UUID | None
    status: Status | None
    from_time: datetime | None
    to_time: datetime | None


def read_filter(account_id: UUID, message: pb.UsageFilter) -> Filter:
    """The filter of a request; InvalidFilter when it makes no sense."""
    status = STATUSES.get(message.status)
    if message.status != pb.USAGE_STATUS_UNSPECIFIED and status in (None, "open"):
        raise InvalidFilter("status is not one of a final record", field="status")
    from_time = _time(message.from_time, "from_time") if message.HasField("from_time") else None
    to_time = _time(message.to_time, "to_time") if message.HasField("to_time") else None
    if from_time and to_time and from_time > to_time:
        raise InvalidFilter("from_time is after to_time", field="from_time")
    return Filter(
        account_id=account_id,
        model_public_name=read_model(message.model_public_name),
        api_key_id=read_api_key(message.api_key_id),
        status=status,
        from_time=from_time,
        to_time=to_time,
    )


def read_model(text: str) -> str | None:
    """The model's name to filter by, None for all."""
    if "\0" in text:
        raise InvalidFilter("model_public_name is no name", field="model_public_name")
    return text or None


def read_api_key(text: str) -> UUID | None:
    """The key to filter by, None for all."""
    try:
        return parse_uuid(text, "api_key_id") if text else None
    except InvalidArgument as error:
        raise InvalidFilter(error.message, field="api_key_id") from error


def conditions(wanted: Filter, before_request_id: UUID | None = None, *, beside: timedelta = _DAY) -> dict[str, object]:
    """The filter as conditions of `store.final_records`.

    An id is made with the start time, so that its bounds spare reading other days. By default a day more on both sides
    is for a clock that was set back, since ids never step back with it.
    """
    before = lowest_id(min(wanted.to_time, LATEST) + beside) if wanted.to_time else None
    every: dict[str, object] = {
        "account_id =": wanted.account_id,
        "model_public_name =": wanted.model_public_name,
        "api_key_id =": wanted.api_key_id,
        "status =": wanted.status,
        "start_time >=": wanted.from_time,
        "start_time <": wanted.to_time,
        "request_id >=": lowest_id(wanted.from_time - beside) if wanted.from_time else None,
        "request_id <": min(before, before_request_id) if before and before_request_id else before or before_request_id,
    }
    return {condition: value for condition, value in every.items() if value is not None}


def span_conditions(message: pb.ListModelUsageRequest) -> dict[str, object]:
    """A model's requests in a time span as conditions of `store.charged_records`; InvalidFilter for no model or span.

    A request is that of the model that answered it, since it is charged at that model's price.
    An id is made with the start time, so that its bounds spare reading other days. A day more on both sides is for a
    clock that was set back, since ids never step back with it.
    """
    model = read_model(message.model_public_name)
    if model is None:
        raise InvalidFilter("a model is needed", field="model_public_name")
    for name in ("from_time", "to_time"):
        if not message.HasField(name):
            raise InvalidFilter(f"{name} is needed", field=name)
    from_time, to_time = _time(message.from_time, "from_time"), _time(message.to_time, "to_time")
    if from_time > to_time:
        raise InvalidFilter("from_time is after to_time", field="from_time")
    after = parse_uuid(message.after_request_id, "after_request_id") if message.after_request_id else _NO_ID
    return {
        "coalesce(nullif(served_model_public_name, ''), model_public_name) =": model,
        "start_time >=": from_time,
        "start_time <": to_time,
        "request_id >": max(after, lowest_id(from_time - _DAY)),
        "request_id <": lowest_id(min(to_time, LATEST) + _DAY),
    }


async def total(connection: Connection, wanted: Filter) -> int:
    """How many records match: of whole days from the roll-ups where they can tell, all others counted."""
    if wanted.status not in (None, "success"):
        return await store.count_of_final_records(connection, conditions(wanted))
    begin = _next_midnight(min(wanted.from_time, LATEST)) if wanted.from_time else None
    end = datetime.combine(wanted.to_time, time(), UTC) if wanted.to_time else None
    if begin and end and begin > end:
        return await store.count_of_final_records(connection, conditions(wanted))
    range_ = replace(
        range_of(wanted), from_day=begin.date() if begin else None, to_day=(end - _DAY).date() if end else None
    )
    sums = await store_daily.sums_of(connection, range_)
    count = sums.requests - sums.errors if wanted.status == "success" else sums.requests
    for part in (replace(wanted, to_time=begin), replace(wanted, from_time=end)):
        if part.from_time and part.to_time and part.from_time < part.to_time:
            count += await _count_within(connection, part, part.from_time, part.to_time)
    return count


async def _count_within(connection: Connection, wanted: Filter, from_time: datetime, to_time: datetime) -> int:
    """How many records match that began in a span: those with an id of it, which an index tells alone, and others."""
    every = conditions(replace(wanted, from_time=None, to_time=None))
    ids = {"request_id >=": lowest_id(from_time), "request_id <": lowest_id(min(to_time, LATEST))}
    count = await store.count_of_final_records(connection, every | ids)
    return count + await store.count_of_moved(connection, every, from_time=from_time, to_time=to_time)


def range_of(wanted: Filter) -> Range:
    """The roll-ups of all days that have something of it; those of its first and last day may have more."""
    return Range(
        wanted.account_id,
        from_day=wanted.from_time.date() if wanted.from_time else None,
        to_day=wanted.to_time.date() if wanted.to_time else None,
        model_public_name=wanted.model_public_name,
        api_key_id=wanted.api_key_id,
    )


def _next_midnight(moment: datetime) -> datetime:
    """The first UTC midnight that is not before a moment in UTC."""
    midnight = datetime.combine(moment, time(), UTC)
    return midnight if midnight == moment else midnight + _DAY


def _time(timestamp: Timestamp, name: str) -> datetime:
    try:
        moment = from_proto(timestamp)
    except OverflowError:
        moment = datetime.min.replace(tzinfo=UTC)
    if moment.year < _FIRST_YEAR:
        raise InvalidFilter(f"{name} is out of range", field=name)
    return moment
