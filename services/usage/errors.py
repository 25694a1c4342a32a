"""Usage's expected failures, one class for each reason of the contract.

AppError
├── UsageNotFound
└── InvalidFilter    metadata `field`
"""

from typing import ClassVar

import grpc

from kit.errors import AppError


class UsageError(AppError):
    """Base of both."""

    domain: ClassVar[str] = "usage.privaterouter"


class UsageNotFound(UsageError):
    """The account has no final record with this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "USAGE_NOT_FOUND"


class InvalidFilter(UsageError):
    """A filter that makes no sense; metadata `field` names it."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_FILTER"
