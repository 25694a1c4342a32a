"""The JSON Web Tokens that carry a session: HS256, one hour, every claim checked."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from edge.errors import EdgeError
from kit.clock import Clock

ISSUER = "privaterouter"
AUDIENCE = "privaterouter-api"
LIFETIME = timedelta(hours=1)
SKEW = timedelta(seconds=60)
"""How far the clocks of two edges may differ."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    user_id: str
    session_id: str
    issue_time: datetime


class Tokens:
    """Issues tokens under one secret, and reads them under that and, where there is one, the secret before it."""

    def __init__(self, secret: str, *, clock: Clock, previous: str = "") -> None:
        self._secret = secret
        self._readable = (secret, previous) if previous else (secret,)
        self._clock = clock

    def issue(self, *, user_id: str, session_id: str, session_expire_time: datetime) -> str:
        """A token for an hour, or until the session's end if that is sooner."""
        now = self._clock()
        return jwt.encode(
            {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "sub": user_id,
                "sid": session_id,
                "iat": int(now.timestamp()),
                "exp": int(min(now + LIFETIME, session_expire_time).timestamp()),
            },
            self._secret,
            algorithm="HS256",
        )

    def read(self, token: str) -> Claims:
        """The claims of a token that is ours and in its time; EdgeError invalid_session otherwise."""
        claims = next((found for secret in self._readable if (found := _signed(token, secret))), None)
        if claims is None:
            raise invalid_session("The session's token is not valid. Log in again.")
        issued, expires = claims["iat"], claims["exp"]
        now = self._clock().timestamp()
        if not (isinstance(issued, int) and isinstance(expires, int) and _is_id(claims["sid"])):
            raise invalid_session("The session's token is not valid. Log in again.")
        if issued > now + SKEW.total_seconds() or expires <= now:
            raise invalid_session("The session's token has expired. Log in again.")
        return Claims(claims["sub"], claims["sid"], datetime.fromtimestamp(issued, UTC))

    def is_due(self, claims: Claims) -> bool:
        """Whether a cookie with these claims should be renewed: it is a minute old."""
        return self._clock() - claims.issue_time > timedelta(minutes=1)


def _signed(token: str, secret: str) -> dict[str, Any] | None:
    """What the token claims; None where it was not signed with that secret, or is not one of ours."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            # The times are for the caller to check, by the clock that was passed in.
            options={
                "require": ["iss", "aud", "sub", "sid", "iat", "exp"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidTokenError:
        return None
    return claims


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def invalid_session(message: str) -> EdgeError:
    """A 401 of `/api`."""
    return EdgeError("invalid_session", message, headers={"www-authenticate": "Bearer"})
