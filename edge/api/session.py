"""Who calls `/api`: a bearer token or the cookie `pr_session`, checked with auth at every call."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from edge.api.tokens import LIFETIME, invalid_session
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.timestamps import from_proto
from privaterouter.auth.v1 import auth_pb2 as pb

COOKIE = "pr_session"
API_KEY_BEGIN = "sk-pr-"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Login:
    """A session that is in force, and its user."""

    user: pb.User
    session: pb.Session


async def signed_in(request: Request, response: Response, deps: With) -> Login:
    """The caller's session. EdgeError invalid_session, cross_site_request, service_unavailable.

    An Authorization header counts alone: where it is bad, the cookie is not asked.
    """
    token = bearer_of(request)
    by_cookie = token is None
    if token is None:
        token = request.cookies.get(COOKIE)
        if not token:
            raise invalid_session("Log in first: send the token of POST /api/auth/login as a bearer, or its cookie.")
        if request.method not in SAFE_METHODS:
            refuse_cross_site(request, needs_json=True)
    claims = deps.tokens.read(token)
    answer = await deps.clients.auth.CheckSession(pb.CheckSessionRequest(session_id=claims.session_id))
    if answer.user.id != claims.user_id:
        raise invalid_session("The session's token is not valid. Log in again.")
    login = Login(answer.user, answer.session)
    if by_cookie and deps.tokens.is_due(claims):
        set_cookie(request, response, issue(deps, login))
    return login


async def administrator(login: Annotated[Login, Depends(signed_in)]) -> Login:
    """The session of an admin. EdgeError admin_required for anybody else who is signed in."""
    if login.user.role != pb.USER_ROLE_ADMIN:
        raise EdgeError("admin_required", "Only an administrator may do this.")
    return login


SignedIn = Annotated[Login, Depends(signed_in)]
"""Type of an endpoint's argument that makes it need a session."""
Administrator = Annotated[Login, Depends(administrator)]
"""Type of an endpoint's argument that makes it need an admin's session."""


def bearer_of(request: Request) -> str | None:
    """The token of the Authorization header; None where there is no such header. EdgeError invalid_session."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise invalid_session("The Authorization header must be `Bearer` and the token of POST /api/auth/login.")
    if token.strip().startswith(API_KEY_BEGIN):
        raise invalid_session("API keys work on /v1 only. Here, send the token of POST /api/auth/login.")
    return token.strip()


def issue(deps: Deps, login: Login) -> str:
    """A fresh token for the session."""
    return deps.tokens.issue(
        user_id=login.user.id,
        session_id=login.session.id,
        session_expire_time=from_proto(login.session.expire_time),
    )


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Give the browser the token, out of reach of scripts and of other sites' forms."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.hostname not in _LOCAL,
    )


def delete_cookie(request: Request, response: Response) -> None:
    """Take the token away again."""
    secure = request.url.hostname not in _LOCAL
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=secure)


def refuse_cross_site(request: Request, *, needs_json: bool) -> None:
    """Refuse a change that another site's page may have asked for. EdgeError cross_site_request.

    A form of another site can send a cookie but not `application/json`, which needs a preflight that we never allow.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    if site == "cross-site" or foreign:
        raise EdgeError("cross_site_request", "This request came from another site's page and was refused.")
    if needs_json and not is_json(request):
        raise EdgeError("unsupported_media_type", "With the cookie, send `Content-Type: application/json`.")


def is_json(request: Request) -> bool:
    """Whether the request says that its body is JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
