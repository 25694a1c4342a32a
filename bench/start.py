"""How long a process takes from its start until it is ready, and what the first request costs then: `make bench-start`.

Beside a running stack each of its processes is started once more, some times, as a second edge or a second copy of a
service would be, with what it needs there already and its files in memory. Ready is what its readiness check says. Each
new edge is then asked by a client of its own: half of them begin with a chat and half with a stream, and what the
first took more than the usual one after it is what the start has left undone.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from bench.guard import MESSAGES
from bench.processes import command_of, cpu_s, tree
from bench.stack import stack_of_its_own, without_limits
from kit.health import probe
from tests.support.customers import customer
from tests.support.stack import RunningStack, until

STARTS: Final = int(os.environ.get("START_TIMES", "9"))
USUAL: Final = 40
"""Requests after the first that say what is usual."""
SERVICES: Final = ("auth", "catalog", "billing", "usage")
READY_GOAL_S: Final[Mapping[str, float]] = {"edge": 1.5, **dict.fromkeys(SERVICES, 3.0)}
FIRST_GOAL_S: Final = 0.020
WORKS: Final[Mapping[str, dict[str, object]]] = {
    "chat": {"max_tokens": 8},
    "stream": {"max_tokens": 8, "stream": True},
}
# All that is imported before ready, in a process that does nothing else.
IMPORTS: Final = """
import gc, importlib, sys, time
from kit.lean import hide
if "edge" in sys.argv[1]:
    gc.disable(), hide("pydantic.v1")  # as it does itself
for name in sys.argv[1:]:
    importlib.import_module(name)
print(time.process_time())
"""


@dataclass
class Starts:
    """Of one kind of process, in seconds, one figure for each start."""

    imports: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)


@dataclass
class Firsts:
    """Of one kind of request, in seconds: the first after a start, and the median of those after it."""

    first: list[float] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)

    @property
    def more(self) -> list[float]:
        """What each first took more."""
        return [first - usual for first, usual in zip(self.first, self.usual, strict=True)]


def environment_of(stack: RunningStack, module: str) -> dict[str, str]:
    """What a process of the stack was told."""
    (pid,) = (pid for pid in tree(stack.process.pid) if command_of(pid).rstrip().endswith(f"-m {module}"))
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@contextmanager
def started(module: str, environment: Mapping[str, str], directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of ours, ended afterwards."""
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=directory, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def import_s(*modules: str) -> float:
    """Processor time of a Python that imports these and ends."""
    done = subprocess.run([sys.executable, "-c", IMPORTS, *modules], check=True, capture_output=True, text=True)
    return float(done.stdout)


def start_service(name: str, environment: Mapping[str, str], starts: Starts) -> None:
    """Once, until its health says that it is ready."""
    with tempfile.TemporaryDirectory(prefix="privaterouter-start-") as path:
        listens = Path(path, "socket")
        told = {**environment, f"{name.upper()}_LISTEN": f"unix:{listens}"}
        begun_s = time.perf_counter()
        with started(f"services.{name}", told, Path(path)) as process:
            # Before it listens a client would be told to wait a second.
            until(listens.exists, what=lambda: Path(path, "log").read_text())
            until(lambda: asyncio.run(probe(f"unix:{listens}")))
            starts.ready.append(time.perf_counter() - begun_s)
            starts.cpu.append(cpu_s([process.pid]))


def start_edge(environment: Mapping[str, str], starts: Starts, *, key: str, work: str, firsts: Firsts) -> None:
    """Once, until it should get traffic; then a client's first request and those after it."""
    with tempfile.TemporaryDirectory(prefix="privaterouter-start-") as path:
        file = Path(path, "ports")
        told = {**environment, "EDGE_PORT": "0", "DASHBOARD_PORT": "0", "EDGE_PORTS_FILE": str(file)}
        begun_s = time.perf_counter()
        with started("edge", told, Path(path)) as process:
            until(file.exists, what=lambda: Path(path, "log").read_text())
            url = f"http://127.0.0.1:{json.loads(file.read_text())['api_port']}"
            with httpx.Client(base_url=url, timeout=20) as client:
                until(lambda: client.get("/health/ready").is_success, within_s=60)
                starts.ready.append(time.perf_counter() - begun_s)
                starts.cpu.append(cpu_s([process.pid]))
            with httpx.Client(base_url=url, timeout=20, headers={"authorization": f"Bearer {key}"}) as client:
                firsts.first.append(ask(client, work))
                firsts.usual.append(statistics.median(ask(client, work) for _ in range(USUAL)))


def ask(client: httpx.Client, work: str) -> float:
    """Seconds until the whole answer is there."""
    begun_s = time.perf_counter()
    client.post("/v1/chat/completions", json=MESSAGES | WORKS[work]).raise_for_status()
    return time.perf_counter() - begun_s


def line(name: str, values: list[float], unit: float, goal: float | None = None) -> str:
    """Median, least and most, and whether the median keeps to a goal."""
    middle = statistics.median(values)
    shown = "".join(f"{value * unit:>10.3g}" for value in (middle, min(values), max(values)))
    if goal is None:
        return f"{name:<40}{shown}"
    return f"{name:<40}{shown}{goal * unit:>10.3g}  {'reached' if middle <= goal else 'NOT REACHED'}"


def report(starts: Mapping[str, Starts], firsts: Mapping[str, Firsts]) -> str:
    """All figures, for people."""
    lines = [f"{'':<40}{'median':>10}{'least':>10}{'most':>10}{'goal':>10}"]
    for name, figures in starts.items():
        lines.append(line(f"{name}: imports, CPU s", figures.imports, 1))
        lines.append(line(f"{name}: until ready, CPU s", figures.cpu, 1))
        lines.append(line(f"{name}: until ready, s", figures.ready, 1, READY_GOAL_S[name]))
    for name, each in firsts.items():
        lines.append(line(f"first {name}, ms", each.first, 1000))
        lines.append(line(f"a later {name}, ms", each.usual, 1000))
        lines.append(line(f"first {name}: beyond a later one, ms", each.more, 1000, FIRST_GOAL_S))
    return "\n".join(lines)


def reached(starts: Mapping[str, Starts], firsts: Mapping[str, Firsts]) -> bool:
    """Whether all medians keep to their goals."""
    return all(statistics.median(each.ready) <= READY_GOAL_S[name] for name, each in starts.items()) and all(
        statistics.median(each.more) <= FIRST_GOAL_S for each in firsts.values()
    )


def main() -> int:
    """Print the figures; 1 where a goal is not reached."""
    starts = {name: Starts() for name in ("edge", *SERVICES)}
    firsts = {work: Firsts() for work in WORKS}
    with stack_of_its_own() as stack, customer(stack) as someone:
        without_limits(stack, someone)
        edge = environment_of(stack, "edge")
        services = {name: environment_of(stack, f"services.{name}") for name in SERVICES}
        for number in range(STARTS):
            for work in WORKS:
                # A key that no edge has seen.
                key = someone.new_key()
                start_edge(edge, starts["edge"], key=key, work=work, firsts=firsts[work])
            starts["edge"].imports.append(import_s("edge.__main__", "edge.parts"))
            for name, told in services.items():
                start_service(name, told, starts[name])
                starts[name].imports.append(import_s(f"services.{name}.__main__"))
            print(f"  {number + 1} of {STARTS} rounds", file=sys.stderr)
    print(f"Load average {', '.join(f'{each:.1f}' for each in os.getloadavg())}")
    print(report(starts, firsts))
    return 0 if reached(starts, firsts) else 1


if __name__ == "__main__":
    sys.exit(main())
