"""The whole embedded stack, started as a user starts it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from kit.money import parse_usd
from tests.support.commands import PROGRAM
from tests.support.customers import customer
from tests.support.stack import (
    RunningStack,
    environment,
    privaterouter,
    running_stack,
    started_stack,
    until,
)

NO_MODEL = {"UPSTREAM_KIND": "openai", "UPSTREAM_BASE_URL": "http://127.0.0.1:9"}
PASSWORD = "a long enough passphrase"


def descendants(pid: int) -> list[int]:
    """All processes below this one, itself included."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            continue
    found = [pid]
    for parent in found:
        found.extend(child for child, above in parents.items() if above == parent)
    return found


def command_lines(stack: RunningStack) -> dict[int, str]:
    pids = descendants(stack.process.pid)
    return {pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in pids}


def resident_bytes(pids: list[int]) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sign_up(stack: RunningStack, email: str) -> int:
    body = {"email": email, "password": PASSWORD, "name": ""}
    return httpx.post(f"{stack.places.api_url}/api/auth/signup", json=body).status_code


@pytest.mark.timeout(300)
def test_a_first_start_a_clean_stop_and_a_second_start_with_the_same_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ExitStack() as stays:
        with running_stack(home) as stack:
            assert "all five chat names route to one small model" in stack.output().splitlines()[-1]
            assert stack.home.places.stat().st_mode & 0o777 == 0o600
            for url in (stack.places.api_url, stack.places.dashboard_url):
                assert httpx.get(f"{url}/health").json() == {"status": "ok"}
            assert resident_bytes(descendants(stack.process.pid)) < 2 * 1024**3
            assert sign_up(stack, "kept@example.com") == 201
            someone = stays.enter_context(customer(stack))
            first, pids = stack.places, descendants(stack.process.pid)
            request_id, cost = someone.ask()
            # Stopped at once: what is under way is brought home first.
            assert stack.stop() == 0
            assert not [pid for pid in pids if running(pid)]
            assert not stack.home.places.exists()
            assert not Path(first.sockets).exists()
        again = stays.enter_context(running_stack(home))
        assert sign_up(again, "kept@example.com") == 409
        someone.follow(again)
        until(lambda: someone.balance_nanos() == 10**9 - cost)
        found = someone.usage(request_id)
        assert found
        assert parse_usd(found["event"]["cost_usd"]) == cost
        assert someone.ask()[1] > 0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack") / "home", **NO_MODEL) as running:
        yield running


def test_parts_that_a_setting_replaces_are_not_started(stack: RunningStack, tmp_path: Path) -> None:
    assert not [line for line in command_lines(stack).values() if "deploy.local.model" in line]
    settings = {"DATABASE_URL": stack.places.database_url, "REDIS_URL": stack.places.redis_url, **NO_MODEL}
    secrets = dict(line.split("=") for line in stack.home.secrets.read_text().splitlines()[1:])
    with running_stack(tmp_path / "home", **settings, **secrets) as beside:
        lines = command_lines(beside).values()
        assert not [line for line in lines if "bin/postgres" in line or "valkey-server" in line]
        assert not (tmp_path / "home" / "postgres").exists()
        assert sign_up(beside, "beside@example.com") == 201
        assert sign_up(stack, "beside@example.com") == 409


def test_a_second_stack_in_the_same_home_is_refused(stack: RunningStack) -> None:
    second = privaterouter("up", home=stack.home.root)
    assert second.returncode == 1
    assert second.stderr.startswith(f"Another stack runs in {stack.home.root} (process {stack.process.pid}). Stop it")
    assert httpx.get(f"{stack.places.api_url}/health").status_code == 200


@pytest.mark.parametrize("variable", ["EDGE_PORT", "DASHBOARD_PORT"])
def test_a_taken_port_is_named_with_the_variable_to_change(tmp_path: Path, variable: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = privaterouter("up", home=tmp_path / "home", **{variable: str(port)})
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Port {port} is taken by another program. Stop that, or choose another port: {variable}={port + 1} make up\n"
    )


def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home"
    inside = f"mount -t tmpfs -o size=20m tmpfs {tmp_path} && PRIVATEROUTER_HOME={home} exec {PROGRAM} up"
    refused = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in refused.stderr:
        pytest.skip("user namespaces are refused here")
    assert refused.returncode == 1
    assert "The disk is full: free some space and start again." in refused.stderr


def test_a_stop_while_it_is_starting_leaves_nothing_running(tmp_path: Path) -> None:
    with started_stack(tmp_path / "home", **NO_MODEL) as stack:
        until(lambda: "Bringing the database up to date" in stack.output(), within_s=30)
        pids = descendants(stack.process.pid)
        assert stack.stop() == 0
        assert not [pid for pid in pids if running(pid)]
        assert "Stopped." in stack.output()


@pytest.fixture(scope="module")
def after_a_kill(stack: RunningStack) -> Iterator[RunningStack]:
    """The same stack, killed and at once started again: nothing below can ask `stack` any more."""
    assert sign_up(stack, "survivor@example.com") == 201
    stack.process.kill()
    stack.process.wait()
    with running_stack(stack.home.root, **NO_MODEL) as again:
        yield again


def test_a_stack_that_was_killed_can_be_started_again_at_once(after_a_kill: RunningStack) -> None:
    assert sign_up(after_a_kill, "survivor@example.com") == 409


def test_a_part_that_dies_stops_the_rest_and_is_named_with_its_log(after_a_kill: RunningStack) -> None:
    stack = after_a_kill
    pids = descendants(stack.process.pid)
    victim = next(pid for pid, line in command_lines(stack).items() if line.strip().endswith("-m services.billing"))
    os.kill(victim, signal.SIGKILL)
    assert stack.process.wait(60) == 1
    assert f"billing was killed by SIGKILL. Its log: {stack.home.logs / 'billing.log'}" in stack.output()
    assert not [pid for pid in pids if running(pid)]
    assert not stack.home.places.exists()
