"""One child process of the embedded stack: started detached from the terminal, logged to a file, never outliving us."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
SOCKET_PATH_LIMIT = 103  # bytes of a unix socket's path, on every system that we run on
LOG_TAIL_BYTES = 4096
POLL_S = 0.01


class StackError(Exception):
    """Something a person has to put right; the message says what and how, on its own."""


class Child:
    """A running program.

    It leads its own session, so that Ctrl-C in the terminal reaches only the supervisor, and gets
    `death_signal` when the thread that started it ends: start it from the main thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        identity: str = "same",
        stop_signal: signal.Signals = signal.SIGTERM,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start `command` at once, its output going to a fresh `log`; `keep_open` are descriptors it inherits.

        Raises StackError when it cannot be started (disk full, permission).
        """
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    launched(command, identity=identity, death_signal=stop_signal),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if environment is None else dict(environment),
                    cwd=directory,
                    start_new_session=True,
                    pass_fds=tuple(keep_open),
                )
        except OSError as error:
            raise StackError(explain(error, doing=f"starting {name}")) from error

    @property
    def pid(self) -> int:
        """Process id, that of the program itself."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Return once `ready()` is true; raises StackError when the process ends first or `within_s` is over."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self.exit_code() is not None:
                raise StackError(self.obituary())
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready after {within_s:.0f} s. Its log: {self.log}{self.tail()}")
            time.sleep(POLL_S)

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once."""
        if self.exit_code() is None:
            self._process.send_signal(self._stop_signal)

    def kill(self) -> None:
        """End it at once, without its consent."""
        if self.exit_code() is None:
            self._process.kill()

    def stop(self, *, within_s: float = 10.0) -> None:
        """Ask, wait, and after `within_s` kill; returns when the process is gone."""
        self.ask_to_stop()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def obituary(self) -> str:
        """Why the process ended, in words for the person at the terminal."""
        code = self.exit_code()
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exited with {code}"
        tail = self.tail()
        reason = DISK_FULL if os.strerror(errno.ENOSPC) in tail else ""
        return f"{self.name} {how}. {reason}Its log: {self.log}{tail}"

    def tail(self, lines: int = 8) -> str:
        """Last lines of the log, indented, beginning with a newline; empty where there are none."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


DISK_FULL = "The disk is full: free some space and start again. "


def explain(error: OSError, *, doing: str) -> str:
    """An OSError as one sentence that says what to do."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{DISK_FULL}It happened while {doing}{where}."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission while {doing}{where}. Point PRIVATEROUTER_HOME at a directory of your own."
    return f"{error.strerror or error} while {doing}{where}."


def launched(command: Sequence[str | Path], *, identity: str, death_signal: signal.Signals) -> list[str]:
    """The command line that runs `command` through launch.py."""
    prefix = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), identity]
    return [*prefix, *(str(part) for part in command)]


def private_socket_directory(link: Path) -> Path:
    """A new directory only we may enter, with a path short enough for unix sockets; `link` remembers where it is.

    One that a killed process left there is removed first.
    """
    remove_socket_directory(link)
    # mkdtemp makes a name that nobody can guess, with the mode 0700.
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108
        if len(os.fsencode(base)) < SOCKET_PATH_LIMIT - 50 and os.access(base, os.W_OK | os.X_OK):
            directory = Path(tempfile.mkdtemp(prefix="privaterouter-", dir=base))
            link.symlink_to(directory)
            return directory
    raise StackError("No temporary directory with a short path can be written: set TMPDIR to one, such as /tmp.")


def remove_socket_directory(link: Path) -> None:
    """Remove the directory that `link` remembers, and the link; fine when there is none."""
    if link.is_symlink():
        remove_directory(link.readlink())
        link.unlink()


def remove_directory(path: Path) -> None:
    """Remove a directory with all in it; one that is gone already is fine."""
    shutil.rmtree(path, ignore_errors=True)
