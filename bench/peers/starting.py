"""Starts the other gateways on their core and waits until they answer rightly; who cannot is left out, and why."""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from bench import processes
from bench.peers import gateways
from bench.peers.contestants import Contestant
from bench.peers.gateways import Place, Plan
from bench.peers.installs import CannotInstall
from bench.peers.load import NONCE
from bench.peers.upstream import Upstream
from deploy.local.process import Child, StackError

READY_WITHIN_S = 240.0
"""LiteLLM compiles half a million lines at its first start."""


@contextmanager
def started(
    names: Sequence[str], upstream: Upstream, *, core: int, data: Path, work: Path
) -> Iterator[tuple[list[Contestant], dict[str, str]]]:
    """Those that answer, in this order, and why the others do not take part."""
    left_out: dict[str, str] = {}
    waiting: list[tuple[str, Place, Plan, Child]] = []
    with ExitStack() as running:
        for name in names:
            place = Place(
                environments=data,
                directory=work / name,
                port=free_port(),
                metrics_port=free_port(),
                upstream_port=upstream.port,
            )
            place.directory.mkdir(parents=True)
            try:
                plan = gateways.PLANS[name](place)
                child = Child(
                    name,
                    [shutil.which("taskset") or "taskset", "--cpu-list", str(core), *plan.command],
                    log=place.directory / "log",
                    environment=gateways.variables_of(plan),
                    directory=place.directory,
                    # One that is held still takes no other signal; none of them has anything to lose.
                    stop_signal=signal.SIGKILL,
                )
            except (CannotInstall, OSError, StackError) as error:
                left_out[name] = str(error)
                continue
            running.callback(_stop, child)
            waiting.append((name, place, plan, child))
        found: list[Contestant] = []
        for name, place, plan, child in waiting:
            try:
                found.append(_when_ready(name, place, plan, child))
            except StackError as error:
                left_out[name] = str(error)
        for name, why in left_out.items():
            print(f"{name} does not take part: {why}", file=sys.stderr)
        try:
            yield found, left_out
        finally:
            for contestant in found:
                contestant.resume()


def _stop(child: Child) -> None:
    """The program and all that it has started."""
    pids = processes.tree(child.pid)
    child.stop(within_s=2)
    for pid in pids[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _when_ready(name: str, place: Place, plan: Plan, child: Child) -> Contestant:
    print(f"Waiting for {name} ...", file=sys.stderr)
    port_file = place.directory / "port"
    deadline = time.monotonic() + READY_WITHIN_S
    last = ""
    while time.monotonic() < deadline and child.exit_code() is None:
        port = int(port_file.read_text()) if port_file.exists() else place.port
        contestant = Contestant(
            name=name,
            port=port,
            model=plan.model,
            headers=plan.headers,
            path=plan.path,
            version=plan.version,
            pids=lambda: processes.tree(child.pid),
            may_pause=True,
        )
        last = _first_answer(contestant)
        if not last:
            return contestant
        time.sleep(0.2)
    raise StackError(f"it did not answer rightly ({last[:300]}).{child.tail()}")


def _first_answer(contestant: Contestant) -> str:
    """Empty where it is right, else what came."""
    body = {"model": contestant.model, "max_tokens": 64, "messages": [{"role": "user", "content": NONCE}]}
    headers = dict(field.split(": ", 1) for field in contestant.headers)
    with suppress(httpx.TransportError):
        answer = httpx.post(
            f"http://127.0.0.1:{contestant.port}{contestant.path}", json=body, headers=headers, timeout=20
        )
        right = answer.status_code == 200 and NONCE in answer.text
        return "" if right else f"{answer.status_code} {answer.text}"
    return "no connection"
