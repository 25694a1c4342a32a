"""A whole embedded stack for tests, on free ports in a directory of its own, started as a user would start it."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import places
from deploy.local.home import Home
from deploy.local.places import Places
from tests.support import commands
from tests.support.waiting import Allowance

READY_WITHIN_S = 300.0  # the first start of LiteLLM on a machine; a part that dies is noticed at once


class RunningStack:
    """A `privaterouter up` that was started; `home` is its PRIVATEROUTER_HOME."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]") -> None:
        self.home = Home(home)
        self.process = process

    @property
    def places(self) -> Places:
        """Addresses; only once it is ready."""
        found = places.read(self.home.places)
        assert found, self.output()
        return found

    def command(self, *arguments: str, stdin: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run `privaterouter ...` against this stack."""
        return privaterouter(*arguments, home=self.home.root, stdin=stdin, **settings)

    def output(self) -> str:
        """All that it has printed so far."""
        return (self.home.root.parent / "up.log").read_text()

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running_stack(home: Path, **settings: str) -> Iterator[RunningStack]:
    """Start a stack, wait for its ready line and stop it in the end; its directory stays."""
    with started_stack(home, **settings) as stack:
        until(
            lambda: stack.process.poll() is not None or places.read(stack.home.places) is not None,
            within_s=READY_WITHIN_S,
            what=stack.output,
        )
        assert stack.process.poll() is None, stack.output()
        yield stack


@contextmanager
def started_stack(home: Path, **settings: str) -> Iterator[RunningStack]:
    """Start a stack without waiting for it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with (
        (home.parent / "up.log").open("w") as log,
        subprocess.Popen(
            [commands.PROGRAM, "up"],
            env={**environment(home), **settings},
            cwd=home.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        stack = RunningStack(home, process)
        try:
            yield stack
        finally:
            if process.poll() is None:
                stack.stop()


def privaterouter(*arguments: str, home: Path, stdin: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end, in a directory without `.env`."""
    return commands.run(arguments, environment={**environment(home), **settings}, directory=home.parent, stdin=stdin)


def environment(home: Path) -> dict[str, str]:
    """Only what every program needs, so that the settings of whoever runs the tests change nothing."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PRIVATEROUTER_HOME": str(home), "EDGE_PORT": "0", "DASHBOARD_PORT": "0"}


def until(ready: Callable[[], bool], *, within_s: float = 20.0, what: Callable[[], str] = lambda: "") -> None:
    """Return once `ready()`; AssertionError with `what()` when it is not in time."""
    allowance = Allowance(within_s)
    while not ready():
        assert allowance.is_left(), f"not in {within_s:.0f} s. {what()}"
        time.sleep(0.02)
