"""What auth refuses, one class for each reason of the contract.

AppError
└── AuthError
    ├── EmailTaken, InvalidEmail, InvalidPassword    at sign-up; the last two with metadata `field`
    ├── InvalidCredentials, SessionEnded             nobody is logged in
    ├── WrongPassword                                somebody is, who gave another password; metadata `field`
    ├── UserNotFound, SessionNotFound, ApiKeyNotFound
    ├── TooManyApiKeys                               metadata `limit`
    ├── VirtualKeyRefused                            nothing was stored
    │   └── VirtualKeyUncertain                      one may be made behind our back
    ├── VirtualKeysOff
    ├── LastAdmin
    └── TooBusy                                      try again in a second
"""

from typing import ClassVar

import grpc

from kit.errors import AppError


class AuthError(AppError):
    """Base of all of them."""

    domain: ClassVar[str] = "auth.privaterouter"


class EmailTaken(AuthError):
    """A user with this e-mail exists, in whatever case it was written."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "EMAIL_TAKEN"


class InvalidEmail(AuthError):
    """The e-mail is not an address."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_EMAIL"


class InvalidPassword(AuthError):
    """The password is too short, too long or among the most common."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_PASSWORD"


class InvalidCredentials(AuthError):
    """No such e-mail, wrong password or a disabled user: the caller must not learn which."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "INVALID_CREDENTIALS"


class SessionEnded(AuthError):
    """The session is unknown, ended or expired, or its user is disabled."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "SESSION_ENDED"


class WrongPassword(AuthError):
    """The present password is another one."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "WRONG_PASSWORD"


class SessionNotFound(AuthError):
    """The user has no open session with this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "SESSION_NOT_FOUND"


class UserNotFound(AuthError):
    """No user with this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "USER_NOT_FOUND"


class ApiKeyNotFound(AuthError):
    """The user has no API key with this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "API_KEY_NOT_FOUND"


class TooManyApiKeys(AuthError):
    """The user has the highest number of API keys."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_API_KEYS"


class VirtualKeyRefused(AuthError):
    """The upstream proxy did not create the virtual key."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "VIRTUAL_KEY_REFUSED"


class VirtualKeyUncertain(VirtualKeyRefused):
    """The upstream proxy did not answer: it may have made the virtual key, or may be about to."""


class VirtualKeysOff(AuthError):
    """This service makes no virtual keys."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "VIRTUAL_KEYS_OFF"


class LastAdmin(AuthError):
    """The change would leave no active admin."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "LAST_ADMIN"


class TooBusy(AuthError):
    """Too many password checks wait already."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "TOO_BUSY"
