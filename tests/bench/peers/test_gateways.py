"""What the other gateways are installed from, and how they are started."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes
from bench.peers import gateways, installs, starting
from bench.peers.gateways import Place
from bench.peers.workloads import DIRECT, EVERYBODY
from deploy.local.process import Child
from tests.support.stack import until

PYTHON = ("envoy", "ferrogw", "sglang-router", "tensorzero", "vllm-router", "zig")


def test_everybody_has_a_plan() -> None:
    assert set(EVERYBODY) - {DIRECT, "PrivateRouter"} == set(gateways.PLANS)


@pytest.mark.parametrize("name", PYTHON)
def test_a_gateway_is_locked_with_hashes_at_the_version_that_is_asked_for(name: str) -> None:
    lock = (installs.LOCKS / f"{name}.txt").read_text()
    asked = [line for line in (installs.LOCKS / f"{name}.in").read_text().splitlines() if "==" in line]
    assert len(asked) == 1
    assert f"\n{asked[0]} \\\n" in f"\n{lock}"
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")
    assert "://" not in lock


def test_portkey_is_locked_with_the_server_that_its_streams_need() -> None:
    packages = json.loads((installs.PORTKEY / "package-lock.json").read_text())["packages"]
    assert packages["node_modules/@hono/node-server"]["version"] == "1.14.1"
    assert all(name == "" or package["integrity"] for name, package in packages.items())
    assert not any("resolved" in package for package in packages.values())


@pytest.mark.parametrize("name", gateways.PLANS)
def test_a_plan_points_at_the_upstream_and_keeps_no_key_of_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "somebody's own")
    monkeypatch.setattr(installs, "python_environment", lambda name, _: tmp_path / "bin" / "python")
    monkeypatch.setattr(installs, "portkey", lambda _: tmp_path)
    monkeypatch.setattr(gateways, "_version", lambda *_: "1")
    package = tmp_path / "node_modules" / "@portkey-ai" / "gateway"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1"}')
    place = Place(environments=tmp_path, directory=tmp_path, port=18000, metrics_port=18001, upstream_port=19000)
    plan = gateways.PLANS[name](place)
    variables = gateways.variables_of(plan)
    assert variables.get("OPENAI_API_KEY") in {None, gateways.KEY}
    written = "".join(file.read_text() for file in tmp_path.iterdir() if file.is_file())
    told = " ".join([*map(str, plan.command), *variables.values(), *plan.headers, written])
    assert "19000" in told
    assert re.search(r"\b18000\b", told) or "embedded_tensorzero" in told


def test_processes_are_found_measured_and_pinned() -> None:
    spin = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with subprocess.Popen([sys.executable, "-c", spin]) as process:
        try:
            while len(found := processes.tree(process.pid)) < 2 or processes.cpu_s(found) < 0.1:
                pass
            core = processes.cores()[1]
            processes.pin(found, core)
            assert all(os.sched_getaffinity(pid) == {core} for pid in found)
            use = processes.use(found)
            assert use.cpu_s >= 0.1
            assert 1_000_000 < use.pss <= use.rss
        finally:
            for pid in reversed(processes.tree(process.pid)):
                os.kill(pid, 9)


def test_a_gateway_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    child = Child("a gateway", [sys.executable, "-c", start], log=tmp_path / "log")
    child.wait_until(lambda: len(processes.tree(child.pid)) == 2, within_s=20)
    _, started = processes.tree(child.pid)
    starting._stop(child)
    assert child.exit_code() is not None
    until(lambda: not processes.command_of(started))
