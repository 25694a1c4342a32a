"""The real thing: whole stacks as `make up` starts them, with a real model, or with one that counts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.customers import Customer, customer
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack of `make up`: PostgreSQL, Valkey, the model, all services and the edge."""
    with running_stack(tmp_path_factory.mktemp("e2e") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """Address of an upstream that makes as many tokens as it may, at once, and keeps its own tally."""
    with fake_upstream() as url:
        yield url


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[RunningStack]:
    """A stack on that upstream in place of the model, side by side with the other."""
    home = tmp_path_factory.mktemp("counted") / "home"
    with running_stack(home, UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream) as running:
        yield running


@pytest.fixture
def alice(stack: RunningStack) -> Iterator[Customer]:
    """Somebody who has just signed up on the stack with the model."""
    with customer(stack) as someone:
        yield someone


@pytest.fixture
def bob(counted: RunningStack) -> Iterator[Customer]:
    """Somebody who has just signed up on the stack with the counting upstream."""
    with customer(counted) as someone:
        yield someone


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The OpenAI SDK for Node.js, as `make test` installs it."""
    modules = NODE / "node_modules"
    if not (modules / "openai").exists():
        npm = Path(sys.executable).with_name("npm")
        subprocess.run([npm, "ci", "--prefix", NODE, "--ignore-scripts", "--no-audit", "--no-fund"], check=True)
    return modules
