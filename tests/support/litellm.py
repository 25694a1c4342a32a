"""The real LiteLLM for tests: its environment, shared by all runs and stacks of this clone, and its key management."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import litellm_install
from tests.support.environments import environment


def installed() -> Path:
    """The environment as the lock says."""
    with environment("litellm") as directory:
        return directory


def lend_to(home: Path) -> None:
    """Give the stack that will run in `home` that environment instead of one of its own."""
    directory = home / "litellm"
    directory.mkdir(parents=True)
    (directory / "venv").symlink_to(installed())


@contextmanager
def litellm_with_memory(master_key: str) -> Iterator[str]:
    """The real proxy over a table in memory (litellm_with_memory.py); its base URL."""
    command: list[str | Path] = [
        litellm_install.python(installed()),
        "-P",
        Path(__file__).with_name("litellm_with_memory.py"),
    ]
    variables = {"PATH": os.environ["PATH"], "MASTER_KEY": master_key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=variables, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().strip()
            assert port, "LiteLLM did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
