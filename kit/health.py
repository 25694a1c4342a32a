"""Asks a gRPC server whether it is ready; as `python -m kit.health TARGET` for a container's health check."""

import asyncio
import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kit.errors import RemoteError

LIVENESS = "liveness"
READINESS = "readiness"
TAKES_CALLS = ""
"""From the start until it prepares to stop; clients watch this and go elsewhere."""


async def is_serving(channel: grpc.aio.Channel, name: str = READINESS, *, timeout_s: float = 1.0) -> bool:
    """Whether the server says SERVING for that name within the time; never raises."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=timeout_s, wait_for_ready=False)
    except (RemoteError, grpc.aio.AioRpcError):
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def probe(target: str) -> bool:
    """Whether the server at a gRPC target, such as `127.0.0.1:50051`, is ready."""
    async with grpc.aio.insecure_channel(target) as channel:
        return await is_serving(channel)


if __name__ == "__main__":
    sys.exit(not asyncio.run(probe(sys.argv[1])))
