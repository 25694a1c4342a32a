"""Whether a part of the stack is ready, asked the way that a cluster would ask."""

import asyncio
import http.client
import json
from pathlib import Path

import grpc

from kit.health import is_serving

TIMEOUT_S = 1.0


def service_is_ready(target: str) -> bool:
    """Whether the gRPC server at this target says that it is ready; never raises."""
    if target.startswith("unix:") and not Path(target.removeprefix("unix:")).exists():
        return False
    return asyncio.run(_service_is_ready(target))


async def _service_is_ready(target: str) -> bool:
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        return await is_serving(channel, timeout_s=TIMEOUT_S)


def edge_ports(file: Path) -> dict[str, int] | None:
    """`api_port`, `dashboard_port` and `metrics_port` once the edge listens."""
    try:
        ports: dict[str, int] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return ports


def edge_is_ready(port: int) -> bool:
    """Whether the edge at this port of this machine wants traffic; never raises."""
    return answers(port, "/health/ready")


def answers(port: int, path: str) -> bool:
    """Whether what listens at this port of this machine answers this path with 200; never raises."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
