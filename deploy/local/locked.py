"""Environments of their own, each filled from its lock, for programs whose dependencies must not meet ours."""

import hashlib
import os
import sys
import venv
from pathlib import Path

from deploy.local.process import Child

# A proxy or a slow line may need longer than the default of 30 s for one of the large wheels.
DOWNLOAD_TIMEOUT_S = 300


def python(environment: Path) -> Path:
    """The environment's interpreter."""
    return environment / "bin" / "python"


def is_installed(environment: Path, *, lock: Path) -> bool:
    """Whether the environment holds what the lock names, for the Python that runs now."""
    stamp = environment / ".ready"
    return python(environment).exists() and stamp.exists() and stamp.read_text() == _state(lock)


def begin(environment: Path, *, lock: Path, name: str, log: Path) -> Child:
    """Make the environment anew and start filling it; call `finish` when the process has ended well.

    Each file is held to the lock's hashes. Raises OSError where nothing can be made.
    """
    venv.EnvBuilder(clear=True, symlinks=True).create(environment)
    uv = (sys.executable, "-m", "uv", "pip", "install", "--python", python(environment))
    return Child(
        f"the installation of {name}",
        [*uv, "--no-deps", "--require-hashes", "-r", lock],
        log=log,
        environment={"UV_HTTP_TIMEOUT": str(DOWNLOAD_TIMEOUT_S)} | os.environ,
        # uv takes settings from the project that it is started in, and ours leave packages out.
        directory=Path(environment.anchor),
    )


def finish(environment: Path, *, lock: Path) -> None:
    """Note that the environment is complete, so that it is used from now on."""
    (environment / ".ready").write_text(_state(lock))


def _state(lock: Path) -> str:
    """All that decides what the environment has to be like."""
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version}"
