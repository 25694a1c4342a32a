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
# Where the environment was made; the Makefile compares it too.
MADE_IN = VENV / ".made-in"
LOCKS = {
    "embedded": ("tools", "runtime", "embedded"),
    "dev": ("tools", "runtime", "embedded", "dev"),
}
DOWNLOAD_MB = {"embedded": 310, "dev": 475}
# A proxy or a slow line may need longer than the default of 30 s for one of the large wheels.
DOWNLOAD_TIMEOUT_S = 300


def main() -> int:
    """Install the group named on the command line; 0 when .venv is as the locks say."""
    group = sys.argv[1]
    # Next to the environment and not in it, because making it anew empties it.
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = VENV / f".ready-{group}"
        if not (stamp.exists() and stamp.read_text() == state_of(group)):
            install(LOCKS[group], download_mb=DOWNLOAD_MB[group])
        MADE_IN.write_text(str(ROOT))
        # What is more also counts as what is less. Writing makes it newer than the locks, which is what make compares.
        for covered, locks in LOCKS.items():
            if set(locks) <= set(LOCKS[group]):
                (VENV / f".ready-{covered}").write_text(state_of(covered))
    return 0


def lock_file(name: str) -> Path:
    """Where a lock is."""
    return ROOT / "requirements" / f"{name}.txt"


def state_of(group: str) -> str:
    """A digest of all that decides what .venv has to be like."""
    state = hashlib.sha256(str(ROOT).encode())
    for file in (*map(lock_file, LOCKS[group]), ROOT / "pyproject.toml"):
        state.update(file.read_bytes())
    return state.hexdigest()


def install(locks: tuple[str, ...], *, download_mb: int) -> None:
    """Bring .venv to the locked versions; pip only fetches uv, which does the rest in parallel."""
    python = VENV / "bin" / "python"
    # A virtual environment does not survive being moved.
    moved = MADE_IN.exists() and MADE_IN.read_text() != str(ROOT)
    if moved or not runs(python, "-m", "pip", "--version"):
        say(f"making .venv with Python {sysconfig.get_python_version()}")
        try:
            venv.create(VENV, clear=True, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            sys.exit(f"{sys.executable} cannot make virtual environments; on Debian and Ubuntu install python3-venv.")
    say(f"installing the locked packages (a download of {download_mb} MB where none is cached)")
    hashed = ("--no-deps", "--require-hashes", "--quiet")
    run(python, "-m", "pip", "--disable-pip-version-check", "install", *hashed, "-r", str(lock_file(locks[0])))
    uv = (python, "-m", "uv", "pip", "install", "--python", str(python))
    run(*uv, *hashed, *(argument for lock in locks for argument in ("-r", str(lock_file(lock)))))
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
