"""Users: signing up, passwords, and what an operator may change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from kit import audit_log
from kit.audit_log import Act, Change
from kit.database import Connection
from services.auth import api_keys, checks, store_outboxes, store_sessions, store_users
from services.auth.errors import EmailTaken, InvalidEmail, LastAdmin, UserNotFound, WrongPassword
from services.auth.rows import Role, Status, User

CHANGEABLE = ("name", "role", "status")
_STATUS_ACTIONS: Mapping[Status, str] = {"active": "user.enabled", "disabled": "user.disabled"}
# The servicer opens the account right after the commit; only where it could not is it up to the relay.
OPENING_DELAY = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Changes:
    """What an operator changes in a user; None: nothing."""

    name: str | None
    role: Role | None
    status: Status | None


def checked_email(email: str) -> str:
    """The address in its normal form, whose case is kept before the @; InvalidEmail where it is none.

    Only the syntax is judged: no name server is asked.
    """
    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise InvalidEmail(f"this is not an e-mail address: {error}", field="email") from None


def check_name(name: str) -> None:
    """Refuses a name that cannot be shown, with InvalidArgument; none at all is fine."""
    checks.text("name", name, least=0, most=checks.MAX_NAME_CHARS)


async def create(c: Connection, user: User, *, password_hash: str) -> None:
    """Stores a new user, and that the billing account is still to be opened. EmailTaken."""
    if not await store_users.inserted_user(c, user, password_hash=password_hash):
        raise EmailTaken("there is a user with this e-mail: log in instead")
    await store_outboxes.put_in(
        c,
        store_outboxes.ACCOUNT_OPENINGS,
        user.id,
        now=user.create_time,
        due_time=user.create_time + OPENING_DELAY,
    )


async def create_for(c: Connection, user: User, *, password_hash: str, act: Act) -> None:
    """Stores a user whom somebody else creates. EmailTaken."""
    await create(c, user, password_hash=password_hash)
    details = audit_log.changes({}, {"email": user.email, "name": user.name, "role": user.role})
    await _note(c, act, "user.created", user.id, details)


async def get(c: Connection, user_id: UUID) -> User:
    """The user with this id; UserNotFound."""
    user = await store_users.user_by_id(c, user_id)
    if user is None:
        raise UserNotFound("there is no user with this id")
    return user


async def password_hash(c: Connection, user_id: UUID) -> str:
    """The hash of the user's password; UserNotFound."""
    found = await store_users.password_hash_by_id(c, user_id)
    if found is None:
        raise UserNotFound("there is no user with this id")
    return found


async def change_password(
    c: Connection, user_id: UUID, *, old_hash: str, new_hash: str, kept_session_id: UUID, act: Act
) -> None:
    """Stores another password, and ends all sessions but one. WrongPassword where it has changed meanwhile."""
    if not await store_users.changed_password_hash(c, user_id, old=old_hash, new=new_hash):
        raise WrongPassword("the present password is another one by now", field="current_password")
    await store_sessions.end_sessions_of(c, user_id, act.time, kept=kept_session_id)
    await _note(c, act, "user.password_changed", user_id)


async def change(c: Connection, user_id: UUID, changes: Changes, *, act: Act) -> tuple[User, bool]:
    """Changes a user; answers the user, and whether caches must drop the user's keys.

    Disabling ends all sessions; keys stop because their owner is disabled. UserNotFound, LastAdmin.
    """
    if changes.role or changes.status:
        await store_users.lock_admins(c)
    old = await store_users.locked_user(c, user_id)
    if old is None:
        raise UserNotFound("there is no user with this id")
    user = replace(
        old,
        name=old.name if changes.name is None else changes.name,
        role=changes.role or old.role,
        status=changes.status or old.status,
    )
    stays = not _is_active_admin(old) or _is_active_admin(user)
    if not stays and not await store_users.is_another_active_admin(c, user_id):
        raise LastAdmin("this is the last active admin: make another user one first")
    await store_users.update_user(c, user)
    if user.status == "disabled":
        await store_sessions.end_sessions_of(c, user_id, act.time)
    if user.status != old.status:
        await api_keys.revoke_all(c, user_id, now=act.time)
    if details := audit_log.changes(_changeable(old), _changeable(user)):
        action = "user.updated" if user.status == old.status else _STATUS_ACTIONS[user.status]
        await _note(c, act, action, user_id, details)
    return user, user.status != old.status


async def _note(
    c: Connection, act: Act, action: str, user_id: UUID, details: Mapping[str, Change] | None = None
) -> None:
    await audit_log.write(c, "auth", act, action=action, subject_kind="user", subject_id=user_id, details=details)


def _changeable(user: User) -> dict[str, object]:
    return {field: getattr(user, field) for field in CHANGEABLE}


def _is_active_admin(user: User) -> bool:
    return user.role == "admin" and user.status == "active"
