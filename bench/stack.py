"""A stack for one benchmark, on an upstream that answers at once; nothing of it is left in the end."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import command_of, tree
from tests.support.customers import Customer
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack


@contextmanager
def stack_of_its_own(upstream: str = "") -> Iterator[RunningStack]:
    """The stack, once it is ready; `upstream` is the base URL of another upstream than the tests' own."""
    with ExitStack() as running:
        directory = running.enter_context(tempfile.TemporaryDirectory(prefix="privaterouter-bench-"))
        url = upstream or running.enter_context(fake_upstream())
        print("Starting a stack of its own ...", file=sys.stderr)
        yield running.enter_context(
            running_stack(Path(directory) / "home", UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=url)
        )


def edges_of(stack: RunningStack) -> list[int]:
    """The processes that serve."""
    return [pid for pid in tree(stack.process.pid) if "-m edge" in command_of(pid)]


def without_limits(stack: RunningStack, *people: Customer) -> None:
    """Move these to the plan `team`, which sets no limits from now on."""
    unlimited = ("--plan", "team", "--rpm", "1000000", "--tpm", "0", "--max-in-flight", "0")
    stack.command("admin", "set-plan-limits", *unlimited).check_returncode()
    for someone in people:
        someone.move_to("team")
