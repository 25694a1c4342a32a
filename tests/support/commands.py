"""The command line as a program of its own, without the second of imports that starting Python costs each time.

One process per run and xdist worker has imported everything; for each command it forks, and the child is to itself,
its parent and the machine what `privaterouter` would be: its own arguments, environment, directory, input and outputs.
"""

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, TypedDict

WITHIN_S = 60
PROGRAM = Path(sys.executable).with_name("privaterouter")


class Order(TypedDict):
    """What a command is started with."""

    arguments: list[str]
    environment: dict[str, str]
    directory: str
    stdin: str


class Prepared:
    """The process that forks; commands wait for one another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.commands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._end)

    def run(self, order: Order) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            status, stdout, stderr = json.loads(process.stdout.readline())
        return subprocess.CompletedProcess([PROGRAM, *order["arguments"]], status, stdout, stderr)

    def _end(self) -> None:
        self._process.communicate()


@cache
def _prepared() -> Prepared:
    return Prepared()


def run(
    arguments: tuple[str, ...], *, environment: Mapping[str, str], directory: Path, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Runs `privaterouter ...` to its end; status -14 when that takes more than a minute."""
    order = Order(arguments=[*arguments], environment={**environment}, directory=str(directory), stdin=stdin)
    return _prepared().run(order)


def _next_child() -> Order:
    """Carries out orders from the standard input; returns in each child, with its order."""
    orders = os.fdopen(os.dup(0), "rb", buffering=0)  # what has been read ahead would be read again by the child
    for line in iter(orders.readline, b""):
        order: Order = json.loads(line)
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(order["stdin"].encode())
            stdin.seek(0)
            child = os.fork()
            if child == 0:
                _become(order, stdin, out, err)
                return order
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            sys.stdout.write(json.dumps([status, _text(out), _text(err)]) + "\n")
            sys.stdout.flush()
    sys.exit()


def _become(order: Order, *files: IO[bytes]) -> None:
    """Has this process see what a program that is started with this sees."""
    signal.alarm(WITHIN_S)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    sys.argv = [str(PROGRAM), *order["arguments"]]


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return io.TextIOWrapper(file).read()


if __name__ == "__main__":
    from cli.__main__ import main
    from kit import migrations  # noqa: F401  # imported late by a command

    _next_child()
    main()
