"""Sign-up, log-in, log-out, and who am I."""

from datetime import datetime
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.api import session
from edge.api.session import Login, SignedIn
from edge.api.wire import Body, JsonRoute, Line, encodable, utc
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.errors import RemoteError
from privaterouter.auth.v1 import auth_pb2 as pb

LOGINS_AN_EMAIL = (10, 300)
"""Attempts, and the seconds they are for. Auth's own hashing costs keep the rest slow."""
LOGINS_AN_ADDRESS = (100, 300)
MAX_USER_AGENT_CHARS = 300

router = APIRouter(prefix="/api/auth", tags=["Session"], route_class=JsonRoute)


class SignUp(Body):
    """Who wants to sign up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "alice@example.com", "password": "correct-horse-battery-staple", "name": "Alice"}]
        }
    )

    email: Line
    password: Annotated[str, Field(min_length=8, max_length=128), AfterValidator(encodable)]
    name: Annotated[Line, Field(max_length=100)] = ""


class Credentials(Body):
    """Who wants to log in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "alice@example.com", "password": "correct-horse-battery-staple"}]}
    )

    email: Line
    password: Annotated[str, Field(max_length=1024), AfterValidator(encodable)]


class User(BaseModel):
    """A person who signed up; the id is also the account's."""

    id: str
    email: str
    name: str
    role: Literal["user", "admin"]
    status: Literal["active", "disabled"]
    created_at: datetime

    @classmethod
    def of(cls, user: pb.User) -> Self:
        """A user as answers show one."""
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            role="admin" if user.role == pb.USER_ROLE_ADMIN else "user",
            status="active" if user.status == pb.USER_STATUS_ACTIVE else "disabled",
            created_at=utc(user.create_time),
        )


class Session(BaseModel):
    """A session's token, which the cookie `pr_session` carries as well."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    user: User


@router.post("/signup", status_code=201)
async def sign_up(body: SignUp, request: Request, response: Response, deps: With) -> Session:
    """Create a user and an account on the plan `free`, and log in."""
    session.refuse_cross_site(request, needs_json=False)
    limit = deps.settings.signups_per_hour
    await throttle(deps, "signup-address", address_of(request), limit=limit, window_s=3600)
    wanted = pb.SignUpRequest(
        email=body.email, password=body.password, name=body.name, user_agent=user_agent_of(request)
    )
    answer = await deps.clients.auth.SignUp(wanted)
    return _begin(request, response, deps, Login(answer.user, answer.session))


@router.post("/login")
async def log_in(body: Credentials, request: Request, response: Response, deps: With) -> Session:
    """Begin a session; the token is good for an hour."""
    session.refuse_cross_site(request, needs_json=False)
    limit, window_s = LOGINS_AN_ADDRESS
    await throttle(deps, "login-address", address_of(request), limit=limit, window_s=window_s)
    limit, window_s = LOGINS_AN_EMAIL
    await throttle(deps, "login-email", body.email, limit=limit, window_s=window_s)
    wanted = pb.LogInRequest(email=body.email, password=body.password, user_agent=user_agent_of(request))
    try:
        answer = await deps.clients.auth.LogIn(wanted)
    except RemoteError as error:
        if error.reason == "INVALID_CREDENTIALS":
            raise EdgeError("invalid_credentials", "The e-mail or the password is wrong.") from None
        raise
    return _begin(request, response, deps, Login(answer.user, answer.session))


@router.post("/logout", status_code=204)
async def log_out(login: SignedIn, request: Request, response: Response, deps: With) -> None:
    """End the session for good, for every copy of its token."""
    await deps.clients.auth.LogOut(pb.LogOutRequest(session_id=login.session.id))
    session.delete_cookie(request, response)


@router.get("/me")
async def me(login: SignedIn) -> User:
    """The user of this session."""
    return User.of(login.user)


def address_of(request: Request) -> str:
    """What counts as one caller's address: an IPv6 caller has a whole /64."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host


def user_agent_of(request: Request) -> str:
    """What the caller's program calls itself, as far as it can be shown."""
    given = request.headers.get("user-agent", "")
    return "".join(filter(str.isprintable, given)).strip()[:MAX_USER_AGENT_CHARS].strip()


def _begin(request: Request, response: Response, deps: Deps, login: Login) -> Session:
    token = session.issue(deps, login)
    session.set_cookie(request, response, token)
    return Session(access_token=token, user=User.of(login.user))


async def throttle(deps: Deps, name: str, subject: str, *, limit: int, window_s: int) -> None:
    """Count an attempt; EdgeError rate_limit_exceeded where there were too many."""
    answer = await deps.throttle.check(name, subject, limit=limit, window_s=window_s)
    if not answer.allowed:
        wait_s = max(1, ceil(answer.retry_after_s))
        raise EdgeError(
            "rate_limit_exceeded",
            f"Too many attempts. Try again in {wait_s} s.",
            headers={"retry-after": str(wait_s)},
        )
