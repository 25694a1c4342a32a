"""The catalogue's expected failures, one class for each reason of the contract.

AppError
├── ModelNotFound, PlanNotFound, UpstreamNotFound
├── ModelExists
├── InvalidPrice    metadata `field`
└── InvalidValue    metadata `field`
"""

from typing import ClassVar

import grpc

from kit.errors import AppError


class CatalogError(AppError):
    """Base of all of them."""

    domain: ClassVar[str] = "catalog.privaterouter"


class ModelNotFound(CatalogError):
    """No model of this public name."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class ModelExists(CatalogError):
    """The public name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "MODEL_EXISTS"


class PlanNotFound(CatalogError):
    """No plan with this id."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "PLAN_NOT_FOUND"


class UpstreamNotFound(CatalogError):
    """A route names an upstream that does not exist."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UPSTREAM_NOT_FOUND"


class InvalidPrice(CatalogError):
    """A price is negative or absurdly high."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_PRICE"


class InvalidValue(CatalogError):
    """A value of a model, plan or upstream is out of its range."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_VALUE"
