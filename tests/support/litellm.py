"""LiteLLM's environment for tests: installed once for this clone, and shared by all runs and stacks of it."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import litellm_install

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-litellm"
INSTALL_WITHIN_S = 900.0


def installed() -> Path:
    """The environment as the lock says; test runs side by side wait for the one that installs it."""
    with ENVIRONMENT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not litellm_install.is_installed(ENVIRONMENT):
            child = litellm_install.begin(ENVIRONMENT, log=ROOT / ".venv-litellm.log")
            try:
                child.wait_until(lambda: child.exit_code() == 0, within_s=INSTALL_WITHIN_S)
            finally:
                child.stop()
            litellm_install.finish(ENVIRONMENT)
    return ENVIRONMENT


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
    environment = {"PATH": os.environ["PATH"], "MASTER_KEY": master_key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().strip()
            assert port, "LiteLLM did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
