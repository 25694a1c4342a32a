"""The journal's directory: there, ours alone, writable, and with room."""

import os
import shutil
from collections.abc import Iterator
from typing import Final

from cli.checks.check import Check, failed, ok, skipped, warning
from cli.checks.surroundings import Surroundings

ENOUGH_BYTES: Final = 2 * 1024**3
"""A journal may grow to 1 GiB, beside that of an edge before it."""
LEAST_BYTES: Final = 256 * 1024**2
NAME: Final = "journal"


def disk(here: Surroundings) -> list[Check]:
    """Where an edge on this machine writes what was used."""
    return list(_journal(here))


def _journal(here: Surroundings) -> Iterator[Check]:
    directory = here.journal
    if directory is None:
        yield skipped(NAME, "no EDGE_JOURNAL_DIR is set here: ask where the edge runs")
        return
    if not directory.is_dir():
        yield failed(NAME, f"{directory} is no directory", "make it, for the user that the edge runs as")
        return
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield failed(NAME, f"{directory} cannot be written to", "give it to the user that the edge runs as")
        return
    if directory.stat().st_mode & 0o007:
        yield warning(NAME, f"anybody may look into {directory}", f"chmod 700 {directory}")
    free = shutil.disk_usage(directory).free
    room = f"{free / 1024**3:.1f} GiB are free in {directory}"
    if free < LEAST_BYTES:
        yield failed(NAME, room, "free some space: without a journal, requests get 503")
    elif free < ENOUGH_BYTES:
        yield warning(NAME, room, f"give it {ENOUGH_BYTES // 1024**3} GiB: it may grow to 1 GiB while usage is away")
    else:
        yield ok(NAME, room)
