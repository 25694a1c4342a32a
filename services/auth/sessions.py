"""Sessions: 30 days after it began, or earlier when it is ended, a session is over."""

from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Connection
from services.auth import checks, store_sessions
from services.auth.errors import SessionEnded, SessionNotFound
from services.auth.rows import Session, User

LIFETIME = timedelta(days=30)
MAX_USER_AGENT_CHARS = 300


def check_user_agent(user_agent: str) -> None:
    """Refuses a name of a program that cannot be shown, with InvalidArgument; none at all is fine."""
    checks.text("user_agent", user_agent, least=0, most=MAX_USER_AGENT_CHARS)


async def begin(c: Connection, user_id: UUID, *, session_id: UUID, user_agent: str, now: datetime) -> Session:
    """A new session of a user."""
    session = Session(session_id, user_id, create_time=now, expire_time=now + LIFETIME, user_agent=user_agent)
    await store_sessions.insert_session(c, session)
    return session


async def check(c: Connection, session_id: UUID, *, now: datetime) -> tuple[Session, User]:
    """The session and its user; SessionEnded when it is over or the user is disabled."""
    found = await store_sessions.session_and_user(c, session_id)
    if found is not None:
        session, user = found
        if session.end_time is None and now < session.expire_time and user.status == "active":
            return session, user
    raise SessionEnded("the session is over: log in again")


async def end(c: Connection, session_id: UUID, *, user_id: UUID, now: datetime) -> None:
    """Ends a user's session for good. SessionNotFound where it is over, or is somebody else's."""
    if not await store_sessions.ended_session_of(c, session_id, now, user_id=user_id):
        raise SessionNotFound("the user has no open session with this id")
