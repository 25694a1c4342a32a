"""Billing's expected failures, one class for each reason of the contract.

AppError
├── AccountNotFound
├── PlanNotFound
├── InvalidAmount           metadata `field`
├── ReasonRequired          metadata `field`
├── InsufficientFunds       metadata `available_nanos`
└── IdempotencyKeyReused
"""

from typing import ClassVar

import grpc

from kit.errors import AppError


class BillingError(AppError):
    """Base of all of them."""

    domain: ClassVar[str] = "billing.privaterouter"


class AccountNotFound(BillingError):
    """The account has not been opened (yet)."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "ACCOUNT_NOT_FOUND"


class PlanNotFound(BillingError):
    """The catalogue has no such plan."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "PLAN_NOT_FOUND"


class InvalidAmount(BillingError):
    """The amount is not one that can be paid, added or taken."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_AMOUNT"


class ReasonRequired(BillingError):
    """An adjustment without a reason."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "REASON_REQUIRED"


class InsufficientFunds(BillingError):
    """More would be taken than is available."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "INSUFFICIENT_FUNDS"


class IdempotencyKeyReused(BillingError):
    """The idempotency key was used for something else."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "IDEMPOTENCY_KEY_REUSED"
