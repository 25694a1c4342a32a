"""A real service with the environment and the Secret of the manifests: it answers its probes, and ends in time."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import grpc

from kit.health import is_serving
from tests.deploy.k8s.conftest import Rendering
from tests.deploy.k8s.rules_pods import PROBES
from tests.support.databases import Databases
from tests.support.manifests import Manifest
from tests.support.waiting import eventually


def free_ports(number: int) -> list[int]:
    """Ports that are free now, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def asked(probe: Manifest, port: int) -> bool:
    """What the kubelet makes of a probe by gRPC."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await is_serving(channel, probe["grpc"]["service"], timeout_s=probe["timeoutSeconds"])


async def test_billing_answers_its_probes_and_ends_in_time(
    overlay: Rendering, databases: Databases, redis_url: str, tmp_path: Path
) -> None:
    manifests = overlay("local")
    billing = manifests.workload("billing")
    url = await databases.fresh("billing")
    (tmp_path / "billing_database_url").write_text(databases.url_for("billing", url))
    (tmp_path / "redis_url").write_text(redis_url)
    rpcs, health, metrics = free_ports(3)
    told = manifests.environment(billing.main) | {
        "BILLING_LISTEN": f"127.0.0.1:{rpcs}",
        "HEALTH_LISTEN": f"127.0.0.1:{health}",
        "METRICS_PORT": str(metrics),
        "SECRETS_DIR": str(tmp_path),
    }
    command = [sys.executable, *billing.main["command"][1:]]
    with subprocess.Popen(command, env={"PATH": os.environ["PATH"], **told}) as process:
        try:
            for name in PROBES:
                await eventually(partial(asked, billing.main[name], health), within_s=60, what=name)
            process.terminate()
            assert process.wait(billing.pod["terminationGracePeriodSeconds"]) == 0
        finally:
            process.kill()
