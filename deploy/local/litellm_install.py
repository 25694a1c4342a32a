"""Installs the LiteLLM proxy from its lock into an environment of its own, where its dependencies cannot meet ours."""

import hashlib
import os
import sys
import venv
from pathlib import Path

from deploy.local.process import Child, StackError

LOCK = Path(__file__).parents[2] / "requirements" / "litellm.txt"
DOWNLOAD_MB = 170
INSTALL_WITHIN_S = 1800.0
# A proxy or a slow line may need longer than the default of 30 s for one of the large wheels.
DOWNLOAD_TIMEOUT_S = 300


def python(environment: Path) -> Path:
    """The environment's interpreter."""
    return environment / "bin" / "python"


def is_installed(environment: Path) -> bool:
    """Whether the environment holds what the lock names, for the Python that runs now."""
    stamp = environment / ".ready"
    return python(environment).exists() and stamp.exists() and stamp.read_text() == _state()


def begin(environment: Path, *, log: Path) -> Child:
    """Make the environment anew and start filling it; call `finish` when the process has ended well.

    Each file is held to the lock's hashes. Raises StackError where there is no lock, OSError where nothing can be made.
    """
    if not LOCK.exists():
        raise StackError(
            f"There is no {LOCK}: run this from a clone, or set UPSTREAM_BASE_URL to a LiteLLM of your own."
        )
    venv.EnvBuilder(clear=True, symlinks=True).create(environment)
    uv = (sys.executable, "-m", "uv", "pip", "install", "--python", python(environment))
    return Child(
        "the installation of LiteLLM",
        [*uv, "--no-deps", "--require-hashes", "-r", LOCK],
        log=log,
        environment={"UV_HTTP_TIMEOUT": str(DOWNLOAD_TIMEOUT_S)} | os.environ,
    )


def finish(environment: Path) -> None:
    """Note that the environment is complete, so that it is used from now on."""
    (environment / ".ready").write_text(_state())


def _state() -> str:
    """All that decides what the environment has to be like."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {sys.version}"
