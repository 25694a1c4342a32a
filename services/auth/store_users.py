"""All SQL about users."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.ids import lowest_id
from kit.paging import Page
from services.auth.rows import User

USER_COLUMNS = "u.id, u.email, u.name, u.role, u.status, u.create_time"
# As the index users_search_idx has it; what is searched for has no line break, so it is in one of the two.
_SEARCHED = "lower(u.email || chr(10) || u.name)"
_FEW = 1_000
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
    row = await c.fetchrow(f"SELECT {USER_COLUMNS} FROM auth.users u WHERE u.id = $1", user_id)
    return user_of(row) if row else None


async def users_by_ids(c: Connection, user_ids: Sequence[UUID]) -> list[User]:
    """Those of these users who exist, in any order."""
    rows = await c.fetch(f"SELECT {USER_COLUMNS} FROM auth.users u WHERE u.id = ANY($1::uuid[])", user_ids)
    return [user_of(row) for row in rows]


async def user_and_hash_by_email(c: Connection, email: str) -> tuple[User, str] | None:
    """The user with this e-mail, in any case, and the hash of the password."""
    row = await c.fetchrow(
        f"SELECT {USER_COLUMNS}, u.password_hash FROM auth.users u WHERE lower(u.email) = lower($1)", email
    )
    return (user_of(row), row["password_hash"]) if row else None


async def locked_user(c: Connection, user_id: UUID) -> User | None:
    """The user with this id, who stays as is until the transaction ends."""
    row = await c.fetchrow(f"SELECT {USER_COLUMNS} FROM auth.users u WHERE u.id = $1 FOR NO KEY UPDATE", user_id)
    return user_of(row) if row else None


async def still_may_log_in(c: Connection, user_id: UUID, *, password_hash: str) -> bool:
    """Whether the user is active and has this password, and stays so until the transaction ends."""
    row = await c.fetchrow(
        "SELECT 1 FROM auth.users WHERE id = $1 AND password_hash = $2 AND status = 'active' FOR SHARE",
        user_id,
        password_hash,
    )
    return row is not None


async def password_hash_by_id(c: Connection, user_id: UUID) -> str | None:
    """The hash of the user's password."""
    found: str | None = await c.fetchval("SELECT password_hash FROM auth.users WHERE id = $1", user_id)
    return found


async def changed_password_hash(c: Connection, user_id: UUID, *, old: str, new: str) -> bool:
    """Stores another hash; False where it was changed meanwhile, or the user is not active."""
    answer = await c.execute(
        "UPDATE auth.users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND status = 'active'",
        user_id,
        old,
        new,
    )
    return answer == "UPDATE 1"


async def users_page(
    c: Connection, page: Page, *, search: str, email: str, from_time: datetime | None
) -> tuple[list[User], int]:
    """One page of users, newest first, and how many there are; empty filters let all pass."""
    conditions, values = ["true"], list[object]()
    if search:
        values.append("%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        conditions.append(f"{_SEARCHED} LIKE lower(${len(values)})")
    if email:
        values.append(email)
        conditions.append(f"lower(u.email) = lower(${len(values)})")
    if from_time:
        # An id is made with the time beside it: its bound spares older users, with a day for clocks that were set back.
        values += [from_time, lowest_id(from_time - timedelta(days=1))]
        conditions.append(f"u.create_time >= ${len(values) - 1} AND u.id >= ${len(values)}")
    where = " AND ".join(conditions)
    total = await c.fetchval(f"SELECT count(*) FROM auth.users u WHERE {where}", *values)
    # Many are walked through from the newest until the page is full. Of few that would be a walk through all, which
    # the planner does not know: OFFSET 0 has it find them first.
    fence = " OFFSET 0" if total <= _FEW else ""
    rows = await c.fetch(
        f"SELECT * FROM (SELECT {USER_COLUMNS} FROM auth.users u WHERE {where}{fence}) u ORDER BY u.id DESC"
        f" LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
        *values,
        page.limit,
        page.offset,
    )
    return [user_of(row) for row in rows], total


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


def user_of(row: Record) -> User:
    """The user in a row of USER_COLUMNS."""
    return User(row["id"], row["email"], row["name"], row["role"], row["status"], row["create_time"])
