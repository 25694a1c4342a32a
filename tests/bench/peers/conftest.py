"""The two programs in C, compiled once, and an upstream that runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers import native, upstream
from bench.peers.native import Programs
from bench.peers.upstream import Upstream
from bench.processes import cores


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return native.build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def fake(programs: Programs) -> Iterator[Upstream]:
    with upstream.running(programs.upstream, core=cores()[1]) as running:
        yield running


@pytest.fixture
def body() -> bytes:
    """A request as the generator needs it."""
    return Path(__file__).with_name("request.json").read_bytes()
