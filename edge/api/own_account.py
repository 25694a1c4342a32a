"""What people change about themselves: their name, their password, and where they are logged in."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter
from fastapi import Query as InQuery
from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.api.auth import LOGINS_AN_EMAIL, User, throttle
from edge.api.session import SignedIn
from edge.api.wire import Body, JsonRoute, Line, Page, PageQuery, encodable, identifier, utc
from edge.deps import With
from privaterouter.auth.v1 import auth_pb2 as pb

router = APIRouter(prefix="/api/auth", tags=["Session"], route_class=JsonRoute)


class OwnChange(Body):
    """What to change of oneself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Alice"}]})

    name: Annotated[Line, Field(max_length=100)]


class PasswordChange(Body):
    """The password that is in force, and the one from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"current_password": "correct-horse-battery-staple", "new_password": "another-horse-battery-staple"}
            ]
        }
    )

    current_password: Annotated[str, Field(max_length=1024), AfterValidator(encodable)]
    new_password: Annotated[str, Field(min_length=8, max_length=128), AfterValidator(encodable)]


class OpenSession(BaseModel):
    """A session that is in force."""

    id: str
    created_at: datetime
    expires_at: datetime
    is_current: bool = Field(description="Whether it is the one that asks.")
    user_agent: str = Field(description="What the program that began it called itself; may be empty.")

    @classmethod
    def of(cls, session: pb.Session, *, current_id: str) -> Self:
        """A session as answers show one."""
        return cls(
            id=session.id,
            created_at=utc(session.create_time),
            expires_at=utc(session.expire_time),
            is_current=session.id == current_id,
            user_agent=session.user_agent,
        )


@router.patch("/me")
async def change_me(login: SignedIn, body: OwnChange, deps: With) -> User:
    """Change your name."""
    request = pb.UpdateUserRequest(
        user=pb.User(id=login.user.id, name=body.name),
        update_mask=FieldMask(paths=["name"]),
        actor_id=login.user.id,
    )
    return User.of((await deps.clients.auth.UpdateUser(request)).user)


@router.post("/password", status_code=204)
async def change_password(login: SignedIn, body: PasswordChange, deps: With) -> None:
    """Change your password. All your other sessions end; API keys go on."""
    limit, window_s = LOGINS_AN_EMAIL
    await throttle(deps, "password-user", login.user.id, limit=limit, window_s=window_s)
    request = pb.ChangePasswordRequest(
        user_id=login.user.id,
        current_password=body.current_password,
        new_password=body.new_password,
        kept_session_id=login.session.id,
    )
    await deps.clients.auth.ChangePassword(request)


@router.get("/sessions")
async def list_sessions(login: SignedIn, query: Annotated[PageQuery, InQuery()], deps: With) -> Page[OpenSession]:
    """Where you are logged in, newest first."""
    request = pb.ListSessionsRequest(user_id=login.user.id, limit=query.limit, offset=query.offset)
    answer = await deps.clients.auth.ListSessions(request)
    items = [OpenSession.of(session, current_id=login.session.id) for session in answer.sessions]
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


@router.delete("/sessions", status_code=204)
async def end_other_sessions(login: SignedIn, deps: With) -> None:
    """Log out everywhere else."""
    request = pb.EndOtherSessionsRequest(user_id=login.user.id, kept_session_id=login.session.id)
    await deps.clients.auth.EndOtherSessions(request)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(session_id: str, login: SignedIn, deps: With) -> None:
    """Log out somewhere, for good."""
    session_id = identifier(session_id, code="session_not_found", what="session")
    await deps.clients.auth.EndSession(pb.EndSessionRequest(user_id=login.user.id, session_id=session_id))
