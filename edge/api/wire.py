"""Shapes that the endpoints share: strict bodies, amounts as decimal strings, times, pages."""

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Generic, NoReturn, TypeVar
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from edge.api.session import is_json
from edge.errors import EdgeError
from edge.v1.requests import ClientGone, read_body
from kit import money
from kit.timestamps import from_proto, to_proto

MAX_BODY_BYTES = 1024 * 1024
"""No body of `/api` comes near it."""
AMOUNT_ERROR = "amount"
"""Type of the validation error that becomes `invalid_amount`."""

Item = TypeVar("Item")
Handler = Callable[[Request], Coroutine[object, object, Response]]


class Body(BaseModel):
    """A request's JSON object: unknown fields are refused, and no type stands in for another."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Query(BaseModel):
    """A request's query string: unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PageQuery(Query):
    """Which page of a list."""

    limit: int = Field(20, ge=1, le=200, description="The highest number of items to return.")
    offset: int = Field(0, ge=0, le=2**31 - 1, description="How many items to skip.")


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    total: int = Field(description="How many there are in all.")
    limit: int
    offset: int


def encodable(text: str) -> str:
    """A text, but for lone surrogates: JSON can spell them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "must be valid Unicode") from None
    return text


def _line(text: str) -> str:
    if not encodable(text).isprintable():
        raise PydanticCustomError("line", "must not have control characters")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_line)]
"""A text of one line."""


def _nanos(amount: object) -> int:
    try:
        return money.parse_usd(amount)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise PydanticCustomError(
            AMOUNT_ERROR, 'must be an amount in US dollars such as 10 or "10.00", with at most nine decimals'
        ) from None


Usd = Annotated[
    int,
    BeforeValidator(_nanos),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}], "examples": ["10.00", 10]}),
]
"""An amount of US dollars, sent as a decimal string or as a number; in nano-dollars here."""


def _moment(given: object) -> datetime:
    try:
        if isinstance(given, str) and len(given) >= len("2026-05-15"):
            moment = datetime.fromisoformat(given)
            is_day = len(given) == len("2026-05-15")
            return moment.replace(tzinfo=UTC) if is_day else _aware(moment).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("moment", "must be a time such as 2026-05-15T06:25:33Z, or a day such as 2026-05-15")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "examples": ["2026-05-15T06:25:33Z"]})
]
"""A point in time with its zone, or a UTC day that stands for its beginning."""


def utc(timestamp: Timestamp) -> datetime:
    """The time as answers show it."""
    return from_proto(timestamp)


def utc_or_none(timestamp: Timestamp | None) -> datetime | None:
    """The time as answers show it; nothing where there is none."""
    return from_proto(timestamp) if timestamp is not None else None


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The time as services take it."""
    return to_proto(moment) if moment is not None else None


def check_span(from_time: datetime | None, to_time: datetime | None) -> None:
    """Refuse a span that ends before it begins; either end may be open. EdgeError invalid_parameter."""
    if from_time and to_time and from_time > to_time:
        raise EdgeError("invalid_parameter", "`from` is after `to`.", param="from")


def identifier(given: str, *, code: str, what: str) -> str:
    """An id of a path in its usual spelling; what is no id names nothing: EdgeError `code`, a 404."""
    try:
        if len(given) == 36:
            return str(UUID(given))
    except ValueError:
        pass
    raise EdgeError(code, f"There is no {what} with this id.")


class JsonRoute(APIRoute):
    """A route that reads a JSON body itself, since amounts must not pass through a float."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, on a request whose JSON has been read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_first(request: Request) -> Response:
            body = await _body_of(request)
            if body and not is_json(request):
                raise EdgeError("unsupported_media_type", "Send the body as `Content-Type: application/json`.")
            return await handle(_Read(request, parse(body)))

        return read_first


async def _body_of(request: Request) -> bytes:
    try:
        return await read_body(request.scope["headers"], request.receive, most=MAX_BODY_BYTES)
    except ClientGone:
        # Nobody reads it, but the server wants an answer.
        raise EdgeError("invalid_body", "The body broke off.") from None


class _Read(Request):
    """A request whose JSON is known."""

    def __init__(self, request: Request, parsed: object) -> None:
        super().__init__(request.scope, request.receive)
        self._body = b"{}"  # Whatever it was: FastAPI only asks whether there is one.
        self._parsed = parsed

    async def json(self) -> object:
        return self._parsed


def parse(body: bytes) -> object:
    """A JSON object, its numbers with decimals as Decimal. EdgeError invalid_body."""
    try:
        parsed = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise EdgeError("invalid_body", "The body is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise EdgeError("invalid_body", "The body must be a JSON object.")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
