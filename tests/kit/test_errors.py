"""The wire form of errors; the way over a real connection is tested in test_client.py."""

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from kit.errors import AppError, CallerNotAllowed, Internal, InvalidArgument, RemoteError, Unavailable, pack, unpack
from kit.wire import ERROR_KEY


def arrived(code: grpc.StatusCode, details: str, *trailing: tuple[str, bytes | str]) -> RemoteError:
    return unpack(AioRpcError(code, Metadata(), Metadata(*trailing), details=details))


@pytest.mark.parametrize("kind", [InvalidArgument, Unavailable, CallerNotAllowed, Internal])
def test_what_is_packed_is_what_arrives(kind: type[AppError]) -> None:
    error = kind("no good", field="name", other="")
    status = pack(error)
    remote = arrived(kind.code, "no good", (ERROR_KEY, status.SerializeToString()))
    assert (remote.code, remote.reason, remote.domain) == (kind.code, kind.reason, "kit.privaterouter")
    assert (remote.message, remote.metadata) == ("no good", {"field": "name", "other": ""})


def test_a_bare_status_has_no_reason_and_no_domain() -> None:
    remote = arrived(grpc.StatusCode.UNAVAILABLE, "connection refused", ("date", "today"))
    assert (remote.code, remote.message) == (grpc.StatusCode.UNAVAILABLE, "connection refused")
    assert (remote.reason, remote.domain, remote.metadata) == ("", "", {})


def test_a_code_that_grpc_does_not_know_is_unknown() -> None:
    status = pack(Internal("odd"))
    status.code = 99
    remote = arrived(grpc.StatusCode.UNKNOWN, "odd", (ERROR_KEY, status.SerializeToString()))
    assert remote.code is grpc.StatusCode.UNKNOWN


def test_details_of_another_kind_are_passed_over() -> None:
    status = pack(InvalidArgument("no"))
    status.details.insert(0, status.details[0])
    status.details[0].type_url = "type.googleapis.com/google.rpc.DebugInfo"
    assert arrived(InvalidArgument.code, "no", (ERROR_KEY, status.SerializeToString())).reason == "INVALID_ARGUMENT"


def test_details_that_cannot_be_read_do_not_hide_the_error() -> None:
    remote = arrived(grpc.StatusCode.NOT_FOUND, "gone", (ERROR_KEY, b"\xff\xff"))
    assert (remote.code, remote.message, remote.reason) == (grpc.StatusCode.NOT_FOUND, "gone", "")
