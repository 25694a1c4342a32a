"""A real stack for the operators' commands; no model, since none is asked for an answer."""

from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import build
from tests.support.stack import RunningStack, running_stack

NOWHERE = {"UPSTREAM_KIND": "openai", "UPSTREAM_BASE_URL": "http://127.0.0.1:9"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests of the command line; each makes its own users and models."""
    with running_stack(tmp_path_factory.mktemp("cli") / "home", **NOWHERE) as running:
        yield running


@pytest.fixture(scope="session")
def http(stack: RunningStack) -> Iterator[httpx.Client]:
    """The stack's edge, to see what commands have changed."""
    with httpx.Client(base_url=stack.places.api_url) as client:
        yield client


def typed(stack: RunningStack, *command: str) -> Result:
    """A command for that stack, run here: starting a program takes longer than most of them."""
    return CliRunner().invoke(build(), command, env={"PRIVATEROUTER_HOME": str(stack.home.root)})
