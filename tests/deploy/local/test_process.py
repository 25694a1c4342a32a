"""Child processes of the stack: seen when they die, gone when we are."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import process
from deploy.local.process import Child, StackError, explain
from tests.support.stack import until

PARENT = """
import sys, time
from pathlib import Path
from deploy.local.process import Child
child = Child("sleeper", ["/bin/sleep", "600"], log=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str | Path]:
    return [sys.executable, "-c", code]


def test_a_child_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    until(lambda: is_gone(pid))


def is_gone(pid: int) -> bool:
    """Also a zombie is gone: in a container there may be nobody to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = Child("sleeper", ["/bin/sleep", "600"], log=tmp_path / "log")
    try:
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    finally:
        child.stop()
    assert child.exit_code() == -signal.SIGTERM


def test_a_child_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    child = Child("stubborn", python(code), log=tmp_path / "log")
    child.wait_until(lambda: "up" in child.tail(), within_s=10)
    child.stop(within_s=0.1)
    assert child.exit_code() == -signal.SIGKILL


def test_a_child_that_ends_instead_of_getting_ready_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("part", python("print('it was me'); raise SystemExit(3)"), log=tmp_path / "log")
    with pytest.raises(StackError) as failure:
        child.wait_until(lambda: False, within_s=10)
    assert str(failure.value) == f"part exited with 3. Its log: {tmp_path / 'log'}\n    it was me"


def test_a_child_that_never_gets_ready_is_reported(tmp_path: Path) -> None:
    child = Child("part", ["/bin/sleep", "600"], log=tmp_path / "log")
    try:
        with pytest.raises(StackError, match="part was not ready after 0 s"):
            child.wait_until(lambda: False, within_s=0.1)
    finally:
        child.stop()


def test_a_full_disk_in_the_log_is_said_in_the_first_sentences(tmp_path: Path) -> None:
    child = Child("part", python("import os, sys; sys.exit(os.strerror(28))"), log=tmp_path / "log")
    until(lambda: child.exit_code() is not None)
    assert child.obituary().startswith("part exited with 1. The disk is full: free some space and start again.")


def test_a_log_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="No such file or directory while starting part"):
        Child("part", ["/bin/true"], log=tmp_path / "absent" / "log")


def test_the_error_numbers_of_disk_and_permission_say_what_to_do() -> None:
    assert explain(OSError(errno.ENOSPC, "x", "/data/file"), doing="writing") == (
        "The disk is full: free some space and start again. It happened while writing (/data/file)."
    )
    assert explain(PermissionError(errno.EACCES, "x", "/data"), doing="writing") == (
        "No permission while writing (/data). Point PRIVATEROUTER_HOME at a directory of your own."
    )


def test_sockets_get_a_short_path_where_the_temporary_directory_has_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    directory = process.private_socket_directory(tmp_path / "sockets")
    try:
        assert len(str(directory / "x.PGSQL.5432")) < process.SOCKET_PATH_LIMIT
        assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        process.remove_socket_directory(tmp_path / "sockets")
    assert not directory.exists()


def test_the_sockets_of_a_killed_process_are_cleared_away_by_the_next_one(tmp_path: Path) -> None:
    link = tmp_path / "sockets"
    first = process.private_socket_directory(link)
    (first / "left.sock").touch()
    second = process.private_socket_directory(link)
    assert not first.exists()
    assert second.is_dir()
    process.remove_socket_directory(link)
    process.remove_socket_directory(link)
    assert not second.exists()
    assert not link.is_symlink()
