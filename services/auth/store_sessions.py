"""All SQL about sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.ids import lowest_id
from kit.paging import Page
from services.auth.rows import Session, User
from services.auth.store_users import USER_COLUMNS, user_of

_SESSION = (
    "s.id AS session_id, s.user_id, s.create_time AS session_create_time, s.expire_time, s.user_agent, s.end_time"
)


async def insert_session(c: Connection, session: Session) -> None:
    """Stores a new session."""
    await c.execute(
        "INSERT INTO auth.sessions (id, user_id, create_time, expire_time, user_agent) VALUES ($1, $2, $3, $4, $5)",
        session.id,
        session.user_id,
        session.create_time,
        session.expire_time,
        session.user_agent,
    )


async def session_and_user(c: Connection, session_id: UUID) -> tuple[Session, User] | None:
    """The session with this id and its user."""
    row = await c.fetchrow(
        f"SELECT {USER_COLUMNS}, {_SESSION} FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE s.id = $1",
        session_id,
    )
    return (_session(row), user_of(row)) if row else None


async def open_sessions_page(c: Connection, user_id: UUID, page: Page, *, now: datetime) -> tuple[list[Session], int]:
    """One page of a user's sessions that are neither ended nor expired, newest first, and how many there are."""
    is_open = "s.user_id = $1 AND s.end_time IS NULL AND s.expire_time > $2"
    total = await c.fetchval(f"SELECT count(*) FROM auth.sessions s WHERE {is_open}", user_id, now)
    rows = await c.fetch(
        f"SELECT {_SESSION} FROM auth.sessions s WHERE {is_open} ORDER BY s.id DESC LIMIT $3 OFFSET $4",
        user_id,
        now,
        page.limit,
        page.offset,
    )
    return [_session(row) for row in rows], total


async def end_session(c: Connection, session_id: UUID, now: datetime) -> None:
    """Ends a session that is open; an ended one keeps its time."""
    await c.execute("UPDATE auth.sessions SET end_time = $2 WHERE id = $1 AND end_time IS NULL", session_id, now)


async def ended_session_of(c: Connection, session_id: UUID, now: datetime, *, user_id: UUID) -> bool:
    """Ends the user's session; False where the user has no such session that is neither ended nor expired."""
    answer = await c.execute(
        "UPDATE auth.sessions SET end_time = $2"
        " WHERE id = $1 AND user_id = $3 AND end_time IS NULL AND expire_time > $2",
        session_id,
        now,
        user_id,
    )
    return answer == "UPDATE 1"


async def end_sessions_of(c: Connection, user_id: UUID, now: datetime, *, kept: UUID | None = None) -> None:
    """Ends all open sessions of a user, but for the one to keep."""
    await c.execute(
        "UPDATE auth.sessions SET end_time = $2 WHERE user_id = $1 AND end_time IS NULL AND id IS DISTINCT FROM $3",
        user_id,
        now,
        kept,
    )


async def delete_expired(c: Connection, moment: datetime, *, lasted: timedelta, limit: int) -> int:
    """Deletes the oldest sessions that expired before a moment; how many.

    `lasted` is how long a session lasts: an id says when it began, which spares an index for this.
    """
    answer = await c.execute(
        """
        DELETE FROM auth.sessions WHERE id IN (
            SELECT id FROM auth.sessions WHERE id < $1 AND expire_time < $2
            ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
        """,
        lowest_id(moment - lasted),
        moment,
        limit,
    )
    return int(answer.split()[-1])


def _session(row: Record) -> Session:
    return Session(
        row["session_id"],
        row["user_id"],
        row["session_create_time"],
        row["expire_time"],
        row["user_agent"],
        row["end_time"],
    )
