"""Errors that travel between processes: raised as AppError on one side, caught as RemoteError on the other.

    Exception
    ├── AppError           an expected failure; carries a gRPC code, a reason and string metadata
    │   ├── InvalidArgument    the caller sent something that can never work
    │   ├── Unavailable        a dependency cannot be asked now; trying again may work
    │   ├── CallerNotAllowed   the process that calls has no business with this RPC
    │   └── Internal           our fault; the message says nothing about why
    └── RemoteError        what another process answered, or that it could not be reached

On the wire an AppError is a `google.rpc.Status` with one `ErrorInfo` in the trailing metadata, as
https://google.aip.dev/193 describes.
"""

from contextlib import suppress
from typing import ClassVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from kit.wire import ERROR_KEY

_ERROR_INFO_URL = "type.googleapis.com/google.rpc.ErrorInfo"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class AppError(Exception):
    """An expected failure; subclasses set `code`, `reason` (a proto enum's name) and `domain`.

    `message` is shown to callers, `metadata` is for programs: string values only.
    """

    code: ClassVar[grpc.StatusCode]
    reason: ClassVar[str]
    domain: ClassVar[str]

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidArgument(AppError):
    """A request that can never work; `field` in the metadata names the offending field."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"
    domain = "kit.privaterouter"


class Unavailable(AppError):
    """A dependency (database, another service) cannot be asked at this moment."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    domain = "kit.privaterouter"


class CallerNotAllowed(AppError):
    """The process that calls has no business with this RPC, says its certificate: `caller` in the metadata."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "CALLER_NOT_ALLOWED"
    domain = "kit.privaterouter"


class Internal(AppError):
    """A failure of our own; the log has the cause, the caller does not."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"
    domain = "kit.privaterouter"


class RemoteError(Exception):
    """The failure of a call to another process.

    `reason` and `domain` are empty when no `ErrorInfo` came with it, as when the transport itself
    failed (`UNAVAILABLE`, `DEADLINE_EXCEEDED`).
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code.name} {reason or '-'}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.domain = domain
        self.metadata = metadata or {}


def pack(error: AppError) -> Status:
    """The wire form of an error."""
    info = ErrorInfo(reason=error.reason, domain=error.domain, metadata=error.metadata)
    detail = AnyMessage(type_url=_ERROR_INFO_URL, value=info.SerializeToString())
    return Status(code=error.code.value[0], message=error.message, details=[detail])


def unpack(error: grpc.aio.AioRpcError) -> RemoteError:
    """The error that the other side packed, or the bare status where it packed none."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY and isinstance(value, bytes):
            with suppress(DecodeError):
                return _from_status(Status.FromString(value))
    return RemoteError(error.code(), error.details() or "")


def _from_status(status: Status) -> RemoteError:
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info = ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return RemoteError(
        code,
        status.message,
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
    )
