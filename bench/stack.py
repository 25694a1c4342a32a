"""A stack for one benchmark, on an upstream that answers at once; nothing of it is left in the end."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack


@contextmanager
def stack_of_its_own() -> Iterator[RunningStack]:
    """The stack, once it is ready."""
    with tempfile.TemporaryDirectory(prefix="privaterouter-bench-") as directory, fake_upstream() as upstream:
        print("Starting a stack of its own ...", file=sys.stderr)
        with running_stack(Path(directory) / "home", UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream) as stack:
            yield stack
