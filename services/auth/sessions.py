"""Sessions: 30 days after it began, or earlier at log-out, a session is over."""

from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Connection
from services.auth import store_users
from services.auth.errors import SessionEnded
from services.auth.rows import Session, User

LIFETIME = timedelta(days=30)


async def begin(c: Connection, user_id: UUID, *, session_id: UUID, now: datetime) -> Session:
    """A new session of a user."""
    session = Session(session_id, user_id, create_time=now, expire_time=now + LIFETIME)
    await store_users.insert_session(c, session)
    return session


async def check(c: Connection, session_id: UUID, *, now: datetime) -> tuple[Session, User]:
    """The session and its user; SessionEnded when it is over or the user is disabled."""
    found = await store_users.session_and_user(c, session_id)
    if found is not None:
        session, user = found
        if session.end_time is None and now < session.expire_time and user.status == "active":
            return session, user
    raise SessionEnded("the session is over: log in again")
