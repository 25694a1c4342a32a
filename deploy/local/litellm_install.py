"""Installs the LiteLLM proxy from its lock into an environment of its own, where its dependencies cannot meet ours."""

from pathlib import Path

from deploy.local import locked
from deploy.local.process import Child, StackError

LOCK = Path(__file__).parents[2] / "requirements" / "litellm.txt"
DOWNLOAD_MB = 170
INSTALL_WITHIN_S = 1800.0


def python(environment: Path) -> Path:
    """The environment's interpreter."""
    return locked.python(environment)


def is_installed(environment: Path) -> bool:
    """Whether the environment holds what the lock names, for the Python that runs now."""
    return locked.is_installed(environment, lock=LOCK)


def begin(environment: Path, *, log: Path) -> Child:
    """Make the environment anew and start filling it; call `finish` when the process has ended well.

    Raises StackError where there is no lock, OSError where nothing can be made.
    """
    if not LOCK.exists():
        raise StackError(
            f"There is no {LOCK}: run this from a clone, or set UPSTREAM_BASE_URL to a LiteLLM of your own."
        )
    return locked.begin(environment, lock=LOCK, name="LiteLLM", log=log)


def finish(environment: Path) -> None:
    """Note that the environment is complete, so that it is used from now on."""
    locked.finish(environment, lock=LOCK)
