"""A program that has been imported and not begun: it forks itself when a process is wanted, in hundredths of a second.

    template = Template("services.billing", log=directory / "billing.template.log")
    child = template.start("billing", environment, log=directory / "billing.1.log")

What is forked becomes the program as `python -m services.billing` would: a session, environment, log, descriptors and
random numbers of its own. gRPC, the event loop and every thread begin after the fork; the template refuses to fork
once it has a second thread.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from deploy.local.launch import PR_SET_PDEATHSIG
from deploy.local.process import POLL_S, Child

ROOT = Path(__file__).parents[2]


class Template:
    """The process that forks, as its user sees it."""

    def __init__(self, module: str, *, log: Path) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.faults.template", module, str(theirs.fileno())]
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        self._child = Child(
            module, command, log=log, environment=environment, directory=ROOT, keep_open=[theirs.fileno()]
        )
        theirs.close()
        self._control = ours.makefile("rw")
        ours.close()
        self._lock = Lock()

    def start(self, name: str, environment: Mapping[str, str], *, log: Path) -> "Forked":
        """Starts the program; its output goes to a fresh `log`."""
        log.write_bytes(b"")
        return Forked(name, self, self.ask({"environment": dict(environment), "log": str(log)}), log=log)

    def ask(self, order: dict[str, object]) -> Any:
        """One order and its answer."""
        with self._lock:
            self._control.write(json.dumps(order) + "\n")
            self._control.flush()
            answer = self._control.readline()
        assert answer, f"the template is gone:{self._child.tail()}"
        return json.loads(answer)

    def close(self) -> None:
        """Ends it, and with it what it has forked."""
        self._control.close()
        self._child.stop()


class Forked(Child):
    """A child of the template. Its id stays its own until its end was told, so no signal hits somebody else."""

    def __init__(self, name: str, template: Template, pid: int, *, log: Path) -> None:
        self.name = name
        self.log = log
        self._template = template
        self._pid = pid
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def exit_code(self) -> int | None:
        if self._code is None:
            self._code = self._template.ask({"ended": self._pid})
        return self._code

    def ask_to_stop(self) -> None:
        if self.exit_code() is None:
            os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.exit_code() is None:
            os.kill(self._pid, signal.SIGKILL)

    def stop(self, *, within_s: float = 10.0) -> None:
        self.ask_to_stop()
        give_up_s = time.monotonic() + within_s
        while self.exit_code() is None:
            if time.monotonic() > give_up_s:
                self.kill()
            time.sleep(POLL_S)


def serve(module: str, control: socket.socket) -> dict[str, Any] | None:
    """Imports the program and forks at every order; in the child the order itself, in the template None at the end."""
    importlib.import_module(f"{module}.__main__")
    # It is run under the name `__main__` later, and by nobody else.
    del sys.modules[f"{module}.__main__"]
    gc.collect()
    gc.freeze()
    with control, control.makefile("rw") as lines:
        for line in lines:
            order: dict[str, Any] = json.loads(line)
            if pid := order.get("ended"):
                ended, status = os.waitpid(pid, os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
            else:
                assert len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 (only their number counts)
                answer = os.fork()
                if answer == 0:
                    return order
            lines.write(f"{json.dumps(answer)}\n")
            lines.flush()
    return None


def become(module: str, order: Mapping[str, Any], template: int) -> None:
    """Runs the program in a child that has just been forked."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != template:
        return
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main(module: str, descriptor: int) -> None:
    """The template's life; that of a child begins at the fork."""
    template = os.getpid()
    order = serve(module, socket.socket(fileno=descriptor))
    if order:
        become(module, order, template)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
