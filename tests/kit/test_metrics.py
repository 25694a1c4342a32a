"""What a server tells Prometheus."""

import grpc
import pytest
from prometheus_client import REGISTRY

from kit.client import channel
from kit.errors import InvalidArgument, RemoteError
from kit.server import running
from tests.support import echo


def handled(method: str, code: str) -> float:
    name = "grpc_server_handled_total"
    return REGISTRY.get_sample_value(name, {"method": f"/{echo.NAME}/{method}", "code": code}) or 0.0


async def test_calls_are_counted_by_method_and_code_and_timed() -> None:
    async def refuse_empty(request: bytes, _: object) -> bytes:
        if not request:
            raise InvalidArgument("empty")
        return request

    before = handled("Put", "OK"), handled("Put", "INVALID_ARGUMENT")
    async with (
        running(listen="127.0.0.1:0", register=echo.Echo(refuse_empty).register) as target,
        channel(target) as client,
    ):
        await echo.call(client, "Put", b"x")
        with pytest.raises(RemoteError):
            await echo.call(client, "Put")
        with pytest.raises(RemoteError) as unknown:
            await echo.call(client, "NoSuchMethod")
    assert unknown.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert (handled("Put", "OK"), handled("Put", "INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)
    assert handled("NoSuchMethod", "UNIMPLEMENTED") == 0
    seconds = REGISTRY.get_sample_value("grpc_server_handling_seconds_count", {"method": f"/{echo.NAME}/Put"})
    assert seconds is not None
    assert seconds >= 2
