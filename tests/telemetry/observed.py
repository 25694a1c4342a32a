"""The whole system as real processes that tell all they can: debug logs, traces of everything, metrics of each."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import collector
from tests.support.databases import Cluster
from tests.support.processes import collector as running_collector
from tests.support.processes import fake_upstream
from tests.support.services import NAMES, RunningServices, running_services
from tests.support.stack import until

UPSTREAM_CREDENTIAL = "sk-upstream-canarycredential5d2e"


@dataclass(frozen=True)
class Observed:
    """Where everything is."""

    services: RunningServices
    directory: Path
    api_url: str
    upstream_url: str
    metrics_urls: dict[str, str]
    """By process."""
    edge: "subprocess.Popen[bytes]"

    @property
    def journals(self) -> Path:
        """The directory of the edge's journal."""
        return self.directory / "journal"

    def log(self, process: str) -> str:
        """All that a process has logged."""
        return (self.directory / f"{process}.log").read_text()

    def events(self, process: str) -> list[dict[str, str]]:
        """The same, event by event."""
        return [json.loads(line) for line in self.log(process).splitlines() if line.startswith("{")]

    def spans(self) -> list[collector.Span]:
        """What the collector has."""
        return collector.spans(self.directory / "spans.jsonl")


@contextmanager
def observed(cluster: Cluster, redis_url: str, directory: Path) -> Iterator[Observed]:
    """Start everything."""
    ports = dict(zip(NAMES, _free_ports(len(NAMES)), strict=True))
    with ExitStack() as stack:
        collector_url = stack.enter_context(running_collector(directory / "spans.jsonl"))
        upstream_url = stack.enter_context(fake_upstream())
        each = {name: {"METRICS_PORT": str(port)} for name, port in ports.items()}
        services = stack.enter_context(
            running_services(
                cluster,
                redis_url,
                directory,
                upstream_url=upstream_url,
                each=each,
                LOG_LEVEL="debug",
                OTEL_EXPORTER_OTLP_ENDPOINT=collector_url,
                OTEL_BSP_SCHEDULE_DELAY="100",
                UPSTREAM_API_KEY=UPSTREAM_CREDENTIAL,
            )
        )
        process, edge_ports = stack.enter_context(_edge(services, directory))
        ports["edge"] = edge_ports["metrics_port"]
        yield Observed(
            services=services,
            directory=directory,
            api_url=f"http://127.0.0.1:{edge_ports['api_port']}",
            upstream_url=upstream_url,
            metrics_urls={name: f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()},
            edge=process,
        )


@contextmanager
def _edge(services: RunningServices, directory: Path) -> "Iterator[tuple[subprocess.Popen[bytes], dict[str, int]]]":
    file = directory / "ports.json"
    environment = services.environment | {
        "EDGE_PORT": "0",
        "DASHBOARD_PORT": "0",
        "METRICS_PORT": "0",
        "EDGE_PORTS_FILE": str(file),
        "EDGE_JOURNAL_DIR": str(directory / "journal"),
    }
    log = directory / "edge.log"
    with (
        log.open("wb") as output,
        subprocess.Popen([sys.executable, "-m", "edge"], env=environment, stderr=output) as process,
    ):
        try:
            until(lambda: file.exists() or process.poll() is not None, within_s=30, what=log.read_text)
            assert process.poll() is None, log.read_text()
            yield process, json.loads(file.read_text())
        finally:
            process.kill()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
