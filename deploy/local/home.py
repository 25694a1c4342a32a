"""The directory of one embedded stack (PRIVATEROUTER_HOME): what lies where, and the lock against a second stack."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.process import StackError
from deploy.local.terminal import Patience

MARKER = ".privaterouter"  # tells `make reset` that it may delete the directory
LOCK_WITHIN_S = 40.0  # an earlier stack that was killed: its edge still drains


class Home:
    """Paths of a stack. Everything but the directory itself is for its owner alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run"
        self.logs = root / "logs"
        self.journal = root / "journal"
        self.postgres = root / "postgres"
        self.valkey = root / "valkey"
        self.litellm = root / "litellm"
        self.secrets = root / "secrets.env"
        self.places = self.run / "stack.json"
        self.edge_ports = self.run / "edge-ports.json"
        self.sockets = self.run / "sockets"
        self._lock = self.run / "lock"

    def create(self) -> None:
        """Make what is missing; raises OSError."""
        # Others may pass through (0711), since PostgreSQL may have to run as another user (postgres.py).
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        (self.root / MARKER).touch()
        for directory in (self.run, self.logs, self.journal, self.litellm):
            directory.mkdir(exist_ok=True, mode=0o700)

    def log(self, part: str) -> Path:
        """The log of a part, the one of the run before kept beside it."""
        path = self.logs / f"{part}.log"
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        return path

    @contextmanager
    def locked(self, *, stopped: Callable[[], bool]) -> Iterator[int]:
        """Hold the home for one stack; yields the lock's descriptor for children to inherit.

        A child holds the lock as well, so that what a killed stack left behind is over before the next begins:
        that is waited for (until `stopped()`). Raises StackError where another stack is alive.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            patience = Patience("what is left of a killed stack")
            deadline = time.monotonic() + LOCK_WITHIN_S
            while not take(descriptor):
                owner = int(os.pread(descriptor, 20, 0) or b"0")
                if alive(owner):
                    raise StackError(
                        f"Another stack runs in {self.root} (process {owner}). Stop it, or give this one its own: "
                        "PRIVATEROUTER_HOME=.local2 EDGE_PORT=8001 DASHBOARD_PORT=3001 make up"
                    )
                if stopped() or time.monotonic() > deadline:
                    raise StackError(
                        f"A stack that ran in {self.root} was killed, and some of its processes have not ended: "
                        f"end those first. They hold {self._lock}."
                    )
                patience.note()
                time.sleep(0.1)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)


def take(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether there is such a process, ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
