"""The audit log for administrators: those of all services as one list, newest first."""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import Annotated, Protocol, Self, TypedDict

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from edge.api.session import Administrator
from edge.api.wire import JsonRoute, Line, Page, PageQuery, utc
from edge.clients import Clients
from edge.deps import Deps, With
from edge.errors import EdgeError
from privaterouter.audit.v1 import audit_pb2
from privaterouter.auth.v1 import auth_pb2
from privaterouter.billing.v1 import billing_pb2
from privaterouter.catalog.v1 import catalog_pb2

MAX_OFFSET = 10_000
"""Each service is asked for all that may come before the page."""

router = APIRouter(prefix="/api/admin/audit-log", tags=["Administration"], route_class=JsonRoute)


class Listed(Protocol):
    """Any service's answer to ListAuditEvents."""

    @property
    def events(self) -> Iterable[audit_pb2.AuditEvent]:
        """The newest events."""

    @property
    def total(self) -> int:
        """How many there are in all."""


class AuditQuery(PageQuery):
    """Which events to list."""

    actor_id: Line = Field("", description="Only what this user did.")
    subject_id: Line = Field("", max_length=254, description="Only what was done to this subject.")
    action: Line = Field("", max_length=254, description="Only this action, such as `user.disabled`.")


class Actor(BaseModel):
    """Who did it."""

    id: str
    email: str


class Change(BaseModel):
    """A field before and after, as text; null where it had or has no value."""

    old: str | None
    new: str | None


class AuditEvent(BaseModel):
    """Something that was done."""

    id: str
    created_at: datetime
    actor: Actor | None = Field(description="Null: an operator at the command line.")
    action: str = Field(examples=["user.disabled"])
    subject_kind: str
    subject_id: str
    subject_name: str = Field(description="The e-mail of a user; otherwise the id again.")
    reason: str
    details: dict[str, Change] = Field(description="What changed, by the field's name; no secrets.")

    @classmethod
    def of(cls, event: audit_pb2.AuditEvent, emails: dict[str, str]) -> Self:
        """An event as answers show one; users who are not in `emails` have none."""
        return cls(
            id=event.id,
            created_at=utc(event.create_time),
            actor=Actor(id=event.actor_id, email=emails.get(event.actor_id, "")) if event.actor_id else None,
            action=event.action,
            subject_kind=event.subject_kind,
            subject_id=event.subject_id,
            subject_name=emails.get(event.subject_id, event.subject_id),
            reason=event.reason,
            details={
                field: Change(
                    old=one.old if one.HasField("old") else None, new=one.new if one.HasField("new") else None
                )
                for field, one in sorted(event.details.items())
            },
        )


class Asked(TypedDict):
    """What is asked of every service alike."""

    limit: int
    actor_id: str
    subject_id: str
    action: str


def sources(clients: Clients, asked: Asked) -> list[Awaitable[Listed]]:
    """A call to each service that keeps a log."""
    return [
        clients.auth.ListAuditEvents(auth_pb2.ListAuditEventsRequest(**asked)),
        clients.billing.ListAuditEvents(billing_pb2.ListAuditEventsRequest(**asked)),
        clients.catalog.ListAuditEvents(catalog_pb2.ListAuditEventsRequest(**asked)),
    ]


@router.get("")
async def list_events(_: Administrator, query: Annotated[AuditQuery, InQuery()], deps: With) -> Page[AuditEvent]:
    """Who did what, newest first."""
    if query.offset > MAX_OFFSET:
        raise EdgeError("invalid_parameter", f"offset: at most {MAX_OFFSET}; filter the list instead.", param="offset")
    asked = Asked(
        limit=query.offset + query.limit,
        actor_id=query.actor_id,
        subject_id=query.subject_id,
        action=query.action,
    )
    answers = await asyncio.gather(*sources(deps.clients, asked))
    newest = sorted((event for answer in answers for event in answer.events), key=lambda event: event.id, reverse=True)
    page = newest[query.offset : query.offset + query.limit]
    emails = await _emails(deps, page)
    total = sum(answer.total for answer in answers)
    return Page(
        items=[AuditEvent.of(event, emails) for event in page], total=total, limit=query.limit, offset=query.offset
    )


async def _emails(deps: Deps, events: list[audit_pb2.AuditEvent]) -> dict[str, str]:
    """The e-mails of all users who are named, those that exist."""
    ids = {event.actor_id for event in events if event.actor_id}
    ids |= {event.subject_id for event in events if event.subject_kind in ("user", "account")}
    request = auth_pb2.BatchGetUsersRequest(user_ids=sorted(ids))
    answer = await deps.clients.auth.BatchGetUsers(request)
    return {user.id: user.email for user in answer.users}
