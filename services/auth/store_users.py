"""All SQL about users and their sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.ids import lowest_id
from kit.paging import Page
from services.auth.rows import Session, User

_USER = "u.id, u.email, u.name, u.role, u.status, u.create_time"
# Any number will do, as long as no other lock of this database has it.
_ADMINS_LOCK = 0x61646D


async def inserted_user(c: Connection, user: User, *, password_hash: str) -> bool:
    """Stores a new user; False where the e-mail is taken, in any case."""
    answer = await c.execute(
        """
        INSERT INTO auth.users (id, email, name, role, status, password_hash, create_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (lower(email)) DO NOTHING
        """,
        user.id,
        user.email,
        user.name,
        user.role,
        user.status,
        password_hash,
        user.create_time,
    )
    return answer == "INSERT 0 1"


async def user_by_id(c: Connection, user_id: UUID) -> User | None:
    """The user with this id."""
    row = await c.fetchrow(f"SELECT {_USER} FROM auth.users u WHERE u.id = $1", user_id)
    return _user(row) if row else None


async def user_and_hash_by_email(c: Connection, email: str) -> tuple[User, str] | None:
    """The user with this e-mail, in any case, and the hash of the password."""
    row = await c.fetchrow(f"SELECT {_USER}, u.password_hash FROM auth.users u WHERE lower(u.email) = lower($1)", email)
    return (_user(row), row["password_hash"]) if row else None


async def locked_user(c: Connection, user_id: UUID) -> User | None:
    """The user with this id, who stays as is until the transaction ends."""
    row = await c.fetchrow(f"SELECT {_USER} FROM auth.users u WHERE u.id = $1 FOR NO KEY UPDATE", user_id)
    return _user(row) if row else None


async def still_active(c: Connection, user_id: UUID) -> bool:
    """Whether the user is active, and stays so until the transaction ends."""
    row = await c.fetchrow("SELECT 1 FROM auth.users WHERE id = $1 AND status = 'active' FOR SHARE", user_id)
    return row is not None


async def users_page(
    c: Connection, page: Page, *, search: str, email: str, from_time: datetime | None
) -> tuple[list[User], int]:
    """One page of users, newest first, and how many there are; empty filters let all pass."""
    conditions, values = ["true"], list[object]()
    if search:
        values.append("%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        conditions.append(f"(u.email ILIKE ${len(values)} OR u.name ILIKE ${len(values)})")
    if email:
        values.append(email)
        conditions.append(f"lower(u.email) = lower(${len(values)})")
    if from_time:
        # An id is made with the time beside it: its bound spares older users, with a day for clocks that were set back.
        values += [from_time, lowest_id(from_time - timedelta(days=1))]
        conditions.append(f"u.create_time >= ${len(values) - 1} AND u.id >= ${len(values)}")
    where = " AND ".join(conditions)
    total = await c.fetchval(f"SELECT count(*) FROM auth.users u WHERE {where}", *values)
    rows = await c.fetch(
        f"SELECT {_USER} FROM auth.users u WHERE {where} ORDER BY u.id DESC"
        f" LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
        *values,
        page.limit,
        page.offset,
    )
    return [_user(row) for row in rows], total


async def update_user(c: Connection, user: User) -> None:
    """Stores what may change in a user."""
    await c.execute(
        "UPDATE auth.users SET name = $2, role = $3, status = $4 WHERE id = $1",
        user.id,
        user.name,
        user.role,
        user.status,
    )


async def lock_admins(c: Connection) -> None:
    """Waits until no other transaction changes who is an admin; held until this one ends."""
    await c.execute("SELECT pg_advisory_xact_lock($1)", _ADMINS_LOCK)


async def is_another_active_admin(c: Connection, user_id: UUID) -> bool:
    """Whether there is an active admin beside this user."""
    row = await c.fetchrow(
        "SELECT 1 FROM auth.users WHERE role = 'admin' AND status = 'active' AND id <> $1 LIMIT 1", user_id
    )
    return row is not None


async def insert_session(c: Connection, session: Session) -> None:
    """Stores a new session."""
    await c.execute(
        "INSERT INTO auth.sessions (id, user_id, create_time, expire_time) VALUES ($1, $2, $3, $4)",
        session.id,
        session.user_id,
        session.create_time,
        session.expire_time,
    )


async def session_and_user(c: Connection, session_id: UUID) -> tuple[Session, User] | None:
    """The session with this id and its user."""
    row = await c.fetchrow(
        f"""
        SELECT {_USER}, s.create_time AS session_create_time, s.expire_time, s.end_time
        FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id
        WHERE s.id = $1
        """,
        session_id,
    )
    if row is None:
        return None
    user = _user(row)
    session = Session(session_id, user.id, row["session_create_time"], row["expire_time"], row["end_time"])
    return session, user


async def end_session(c: Connection, session_id: UUID, now: datetime) -> None:
    """Ends a session that is open; an ended one keeps its time."""
    await c.execute("UPDATE auth.sessions SET end_time = $2 WHERE id = $1 AND end_time IS NULL", session_id, now)


async def end_sessions_of(c: Connection, user_id: UUID, now: datetime) -> None:
    """Ends all open sessions of a user."""
    await c.execute("UPDATE auth.sessions SET end_time = $2 WHERE user_id = $1 AND end_time IS NULL", user_id, now)


def _user(row: Record) -> User:
    return User(row["id"], row["email"], row["name"], row["role"], row["status"], row["create_time"])
