"""An append-only log of who did what: written in the transaction of the act, listed newest first.

Each service has one in its own schema: the table is `kit/audit_table.py`, and its role may select and insert only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection
from kit.errors import InvalidArgument
from kit.ids import parse_uuid
from kit.paging import Page

MAX_REASON_CHARS = 500
MAX_LIMIT = 10_200
"""The most events that one request may list: who merges logs needs all that may come before a page."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field before and after, as text; None: it had or has no value."""

    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does something, when and why; an `actor_id` of None is an operator at the command line."""

    event_id: UUID
    actor_id: UUID | None
    time: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What was done: an `action` such as `user.updated` to a subject, and what it changed by the fields' names."""

    id: UUID
    create_time: datetime
    actor_id: UUID | None
    action: str
    subject_kind: str
    subject_id: str
    reason: str
    details: Mapping[str, Change]


def act(actor_id: str, reason: str = "", *, event_id: UUID, now: datetime) -> Act:
    """The act of a request; InvalidArgument for an `actor_id` that is no id, or a reason that cannot be shown."""
    if len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise InvalidArgument(f"reason must be one line of at most {MAX_REASON_CHARS} characters", field="reason")
    actor = parse_uuid(actor_id, "actor_id") if actor_id else None
    return Act(event_id=event_id, actor_id=actor, time=now, reason=reason)


def changes(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, Change]:
    """The fields of `new` that say something else than in `old`, as text; nothing of them may be a secret.

    None and an empty list are no value, others are joined by commas, times are RFC 3339.
    """
    said = {field: Change(_text(old.get(field)), _text(value)) for field, value in new.items()}
    return {field: change for field, change in said.items() if change.old != change.new}


async def write(
    c: Connection,
    schema: str,
    act: Act,
    *,
    action: str,
    subject_kind: str,
    subject_id: object,
    details: Mapping[str, Change] | None = None,
) -> None:
    """Adds an event to the schema's log; it is there if and only if the transaction commits."""
    written = {
        field: {side: text for side, text in (("old", one.old), ("new", one.new)) if text is not None}
        for field, one in (details or {}).items()
    }
    await c.execute(
        f"""
        INSERT INTO {schema}.audit_events
            (id, create_time, actor_id, action, subject_kind, subject_id, reason, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
        """,  # noqa: S608 (the service's own schema)
        act.event_id,
        act.time,
        act.actor_id,
        action,
        subject_kind,
        str(subject_id),
        act.reason,
        json.dumps(written),
    )


async def events_page(
    c: Connection, schema: str, page: Page, *, actor_id: UUID | None = None, subject_id: str = "", action: str = ""
) -> tuple[list[AuditEvent], int]:
    """One page of the schema's log, newest first, and how many events there are; empty filters let all pass."""
    filters = {"actor_id": actor_id, "subject_id": subject_id, "action": action}
    given = {column: value for column, value in filters.items() if value}
    where = " AND ".join(["true", *(f"{column} = ${number}" for number, column in enumerate(given, 1))])
    total = await c.fetchval(f"SELECT count(*) FROM {schema}.audit_events WHERE {where}", *given.values())  # noqa: S608
    rows = await c.fetch(
        f"""
        SELECT id, create_time, actor_id, action, subject_kind, subject_id, reason, details::text AS details
        FROM {schema}.audit_events WHERE {where}
        ORDER BY id DESC LIMIT ${len(given) + 1} OFFSET ${len(given) + 2}
        """,  # noqa: S608 (columns named here, and the service's own schema)
        *given.values(),
        page.limit,
        page.offset,
    )
    return [AuditEvent(**{**row, "details": _details(row["details"])}) for row in rows], total


def _details(written: str) -> dict[str, Change]:
    return {field: Change(**sides) for field, sides in json.loads(written).items()}


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or None
    return str(value)
