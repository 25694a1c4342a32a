"""Builds the dashboard where it is missing or stale: `python -m deploy.dashboard`.

With `packages` after it, only the packages are installed that the build and its checks need. Any number of these may
run side by side: a lock makes the others wait, and they then find the work done.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DASHBOARD = Path(__file__).parents[1] / "dashboard"
# npm looks like this when it gets no answer, or not the registry's.
UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT"
    r"|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|E403|E407|E50[234])\b"
)


class Failed(Exception):
    """A step of the build went wrong; the message says what to do."""


def main() -> None:
    """Do what the command line says; one line on stderr where it fails."""
    try:
        with only_one(DASHBOARD):
            if sys.argv[1:] == ["packages"]:
                install(DASHBOARD)
            else:
                build(DASHBOARD)
    except Failed as error:
        sys.exit(f"The dashboard was not built: {error}")


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Wait until nobody else works in the directory."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def build(dashboard: Path) -> None:
    """Bring `dist` to what the sources say; until that is complete, the old one stays. Failed where it cannot."""
    dist, stamp = dashboard / "dist", dashboard / "dist" / ".built-from"
    wanted = digest(dashboard, sources(dashboard))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    install(dashboard)
    print("==> building the dashboard", flush=True)
    # Where neither git nor the checks look, and on the same disk.
    new, old = dashboard / "node_modules" / ".dist-new", dashboard / "node_modules" / ".dist-old"
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    npm(dashboard, "run", "build", "--", "--outDir", str(new.relative_to(dashboard)), "--emptyOutDir")
    (new / stamp.name).write_text(wanted)
    if dist.exists():
        dist.rename(old)
    new.rename(dist)
    shutil.rmtree(old, ignore_errors=True)


def install(dashboard: Path) -> None:
    """Bring `node_modules` to what the lock says. Failed where it cannot."""
    stamp = dashboard / "node_modules" / ".installed-from"
    wanted = digest(dashboard, [dashboard / name for name in ("package.json", "package-lock.json", ".npmrc")])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("==> installing the packages of the dashboard (a download of 100 MB where none is cached)", flush=True)
    stamp.unlink(missing_ok=True)
    # Packages' own scripts are not needed for the build, so they are not run.
    npm(dashboard, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    stamp.write_text(wanted)


def sources(dashboard: Path) -> list[Path]:
    """All that the build may read: everything but the packages and the build itself."""
    tops = [top for top in dashboard.iterdir() if top.name not in ("node_modules", "dist")]
    return [file for top in tops for file in (top, *top.rglob("*")) if file.is_file()]


def digest(dashboard: Path, files: list[Path]) -> str:
    """A digest of the files' names and contents."""
    state = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        state.update(f"{file.relative_to(dashboard).as_posix()} {content}\n".encode())
    return state.hexdigest()


def npm(dashboard: Path, *arguments: str) -> None:
    """Run npm of the wheel, quietly. Failed, with what it said, where it fails."""
    # Scripts of packages begin with `#!/usr/bin/env node`.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    quiet = ("--loglevel=error", "--no-update-notifier")
    done = subprocess.run(
        ["npm", *quiet, *arguments],
        cwd=dashboard,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not done.returncode:
        return
    said = done.stdout.strip()
    if unreachable := UNREACHABLE.search(said):
        raise Failed(
            f"npm cannot reach its registry ({unreachable[0]}). Check the network, the proxy and `npm config get"
            " registry`, and run the same command again; `.venv/bin/privaterouter up` starts without the dashboard."
        )
    raise Failed(f"npm {arguments[0]} ended with status {done.returncode}.\n{said[-4000:]}")


if __name__ == "__main__":
    main()
