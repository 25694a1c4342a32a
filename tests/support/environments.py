"""Environments beside ours for programs that tests run, made from their locks the first time that they are needed."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import locked

LOCKS = Path(__file__).parents[2] / "requirements"
# Inside ours, so that they go with it when it is made anew.
HOME = Path(sys.prefix)
INSTALL_WITHIN_S = 500.0


@contextmanager
def environment(name: str) -> Iterator[Path]:
    """The directory of the environment of `requirements/<name>.txt`; nobody makes it anew while it is used."""
    directory, lock = HOME / f".{name}", LOCKS / f"{name}.txt"
    with (HOME / f".{name}.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        if not locked.is_installed(directory, lock=lock):
            fcntl.flock(users, fcntl.LOCK_EX)
            # Who waited for the lock finds it done.
            if not locked.is_installed(directory, lock=lock):
                _install(directory, lock=lock)
            fcntl.flock(users, fcntl.LOCK_SH)
        yield directory


def _install(directory: Path, *, lock: Path) -> None:
    child = locked.begin(directory, lock=lock, name=lock.name, log=directory.with_suffix(".log"))
    try:
        child.wait_until(lambda: child.exit_code() is not None, within_s=INSTALL_WITHIN_S)
    finally:
        child.stop(within_s=2)
    assert child.exit_code() == 0, child.obituary()
    locked.finish(directory, lock=lock)
