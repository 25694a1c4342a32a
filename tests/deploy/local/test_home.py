"""The home of a stack: what others may see of it, and one stack at a time."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.home import Home
from deploy.local.process import StackError

HOLDER = """
import fcntl, os, sys, time
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
os.pwrite(lock, sys.argv[2].encode(), 0)
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def holder(home: Home, *, owner: int, for_s: float) -> "subprocess.Popen[str]":
    """A process that holds the lock, which says that `owner` took it."""
    lock = home.run / "lock"
    lock.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), str(owner), str(for_s)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_all_in_it_is_private_and_make_reset_may_delete_it(home: Home) -> None:
    home.create()
    assert home.root.stat().st_mode & 0o777 == 0o711
    assert {path.stat().st_mode & 0o777 for path in (home.run, home.logs, home.journal)} == {0o700}
    assert (home.root / ".privaterouter").is_file()


def test_a_second_stack_is_refused_with_the_way_to_have_two(home: Home) -> None:
    with holder(home, owner=os.getpid(), for_s=600) as other:
        with pytest.raises(StackError) as failure, home.locked(stopped=lambda: False):
            pass
        other.kill()
    assert str(failure.value) == (
        f"Another stack runs in {home.root} (process {os.getpid()}). Stop it, or give this one its own: "
        "PRIVATEROUTER_HOME=.local2 EDGE_PORT=8001 DASHBOARD_PORT=3001 make up"
    )


def test_what_a_killed_stack_left_behind_is_waited_for(home: Home) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    with holder(home, owner=dead.pid, for_s=0.5) as left_behind, home.locked(stopped=lambda: False):
        assert left_behind.wait(5) == 0
        assert (home.run / "lock").read_text() == str(os.getpid())


def test_what_does_not_end_after_a_kill_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.home.LOCK_WITHIN_S", 0.2)
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    with holder(home, owner=dead.pid, for_s=600) as left_behind:
        with (
            pytest.raises(StackError, match="was killed, and some of its processes have not ended"),
            home.locked(stopped=lambda: False),
        ):
            pass
        left_behind.kill()


def test_the_lock_is_given_back_in_the_end(home: Home) -> None:
    for _ in range(2):
        with home.locked(stopped=lambda: False) as lock, (home.run / "lock").open() as other:
            assert os.get_inheritable(lock) is False
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_log_of_the_run_before_is_kept(home: Home) -> None:
    home.log("edge").write_text("first")
    home.log("edge").write_text("second")
    assert home.log("edge") == home.logs / "edge.log"
    assert not (home.logs / "edge.log").exists()
    assert (home.logs / "edge.log.1").read_text() == "second"
