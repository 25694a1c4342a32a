"""Files of the journals: one per worker, locked by the worker while it lives."""

import fcntl
import os
from pathlib import Path

SUFFIX = ".journal"
PARKED = ".parked"
BROKEN = ".broken"
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database."""


def path_of(directory: Path, worker_id: str) -> Path:
    """Where a worker's journal stands."""
    return directory / f"{worker_id}{SUFFIX}"


def lock(path: Path, *, create: bool = False) -> int | None:
    """A file descriptor that holds the file's lock until it is closed; None where another holds it, or it is gone.

    The kernel lets go of the lock when the process dies, however it dies.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_there(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        # Somebody has adopted and removed it between our open and our lock.
        os.close(descriptor)
        if not create:
            return None


def remove(path: Path) -> None:
    """Removes a journal and what stands beside it; the file itself last, so that a half-done removal is repeated."""
    for name in _BESIDE:
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def set_aside(path: Path, ending: str) -> Path:
    """Renames a journal, and what stands beside it, so that nobody adopts it again; its new path."""
    target = path.with_name(path.name + ending)
    for name in _BESIDE:
        beside = path.with_name(path.name + name)
        if beside.exists():
            beside.rename(target.with_name(target.name + name))
    return path.rename(target)


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
