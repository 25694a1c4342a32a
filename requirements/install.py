"""Makes .venv and installs the locked packages into it; runs on a bare Python 3.11 or later.

Call: ``python requirements/install.py embedded|dev``. "embedded" is what ``make up`` needs, "dev"
is that and the development tools. Both may run side by side: a file lock makes the second wait, and
it then finds its work done. Nothing but the standard library may be imported here.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = {
    "embedded": ("tools", "runtime", "embedded"),
    "dev": ("tools", "runtime", "embedded", "dev"),
}
DOWNLOAD_MB = {"embedded": 250, "dev": 400}
# A proxy or a slow line may need longer than the default of 30 s for one of the large wheels.
DOWNLOAD_TIMEOUT_S = 300


def main() -> int:
    """Install the group named on the command line; 0 when .venv is as the locks say."""
    group = sys.argv[1]
    locks = [ROOT / "requirements" / f"{name}.txt" for name in LOCKS[group]]
    # The path is part of it: a virtual environment does not survive being moved.
    state = hashlib.sha256(str(ROOT).encode())
    for file in (*locks, ROOT / "pyproject.toml"):
        state.update(file.read_bytes())
    # Next to the environment and not in it, because making it anew empties it.
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = VENV / f".ready-{group}"
        if not (stamp.exists() and stamp.read_text() == state.hexdigest()):
            install(locks, download_mb=DOWNLOAD_MB[group])
            stamp.write_text(state.hexdigest())
        stamp.touch()
    return 0


def install(locks: list[Path], *, download_mb: int) -> None:
    """Bring .venv to the locked versions; pip only fetches uv, which does the rest in parallel."""
    python = VENV / "bin" / "python"
    if not runs(python, "-m", "pip", "--version"):
        say(f"making .venv with Python {sysconfig.get_python_version()}")
        try:
            venv.create(VENV, clear=True, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            sys.exit(f"{sys.executable} cannot make virtual environments; on Debian and Ubuntu install python3-venv.")
    say(f"installing the locked packages (a download of {download_mb} MB where none is cached)")
    hashed = ("--no-deps", "--require-hashes", "--quiet")
    run(python, "-m", "pip", "--disable-pip-version-check", "install", *hashed, "-r", str(locks[0]))
    uv = (python, "-m", "uv", "pip", "install", "--python", str(python))
    run(*uv, *hashed, *(argument for lock in locks for argument in ("-r", str(lock))))
    run(*uv, "--no-deps", "--no-build-isolation", "--quiet", "--editable", str(ROOT))


def runs(*command: str | Path) -> bool:
    """Tell whether the command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> None:
    """Run one step; its own message stands when it fails."""
    environment = {"UV_HTTP_TIMEOUT": str(DOWNLOAD_TIMEOUT_S)} | os.environ
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        sys.exit("The set-up did not finish; nothing is lost, run the same command again.")


def say(text: str) -> None:
    """Report what takes time."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
