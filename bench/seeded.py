"""Stacks that have much data from the start: put there between two starts, by a database that is in a hurry."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.bulk import SERVER
from deploy.local.home import Home
from deploy.local.postgres import Postgres


@contextmanager
def place(name: str) -> Iterator[tuple[Path, bool]]:
    """A directory for a stack and what is known of it, and whether an earlier run has filled it.

    It is a new one that is removed in the end, unless BENCH_HOME names where to keep it: seeding takes longer than
    what is measured then.
    """
    if kept := os.environ.get("BENCH_HOME"):
        directory = Path(kept).absolute() / name
        yield directory, _mark(directory).exists()
    else:
        with tempfile.TemporaryDirectory(prefix="privaterouter-bench-") as temporary:
            yield Path(temporary), False


def fill(directory: Path, filled: Callable[[str], Coroutine[object, object, None]]) -> None:
    """Have `filled` add its data through the database's address, while the stack in `directory`/home is stopped."""
    print("Seeding ...", file=sys.stderr)
    begun_s = time.monotonic()
    with Postgres(Home(directory / "home").postgres, fsync=False, settings=SERVER) as server:
        asyncio.run(filled(server.url))
    # What is still on its way to the disk would be in the way of what is measured.
    os.sync()
    _mark(directory).touch()
    print(f"Seeded in {time.monotonic() - begun_s:.0f} s.", file=sys.stderr)


def _mark(directory: Path) -> Path:
    return directory / "seeded"
