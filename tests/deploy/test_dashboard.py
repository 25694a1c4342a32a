"""The dashboard is built when something changed, and only then, and never by halves."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import dashboard as script

NPM = """#!/bin/sh
# In the place of npm: takes notes, installs a package or builds a page, and fails where it is told to.
set -eu
for argument in "$@"; do case "$argument" in ci|run) step=$argument; break ;; esac; done
echo "$step" >> ../notes
case "$step" in
    ci) rm -rf node_modules; mkdir node_modules; echo "$*" > ../ci ;;
    run) while [ "$1" != --outDir ]; do shift; done; mkdir -p "$2"; cp index.html "$2/" ;;
esac
if [ -f ../fails ]; then cat ../fails; exit 1; fi
"""


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dashboard of a few files, and an npm that only pretends."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(NPM)
    (programs / "npm").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    directory = tmp_path / "dashboard"
    (directory / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc", "index.html", "src/main.tsx"):
        (directory / name).write_text(f"the first {name}")
    return directory


def built(dashboard: Path) -> list[str]:
    """The steps that this run of the build took."""
    notes = dashboard.parent / "notes"
    notes.write_text("")
    script.build(dashboard)
    return notes.read_text().split()


def test_the_second_run_builds_nothing(dashboard: Path) -> None:
    assert built(dashboard) == ["ci", "run"]
    assert (dashboard / "dist" / "index.html").read_text() == "the first index.html"
    assert built(dashboard) == []
    assert "--ignore-scripts" in (dashboard.parent / "ci").read_text().split()


@pytest.mark.parametrize(
    "change, steps",
    [
        (lambda root: (root / "src" / "main.tsx").write_text("changed"), ["run"]),
        (lambda root: (root / "src" / "new.tsx").write_text(""), ["run"]),
        (lambda root: (root / "src" / "main.tsx").rename(root / "src" / "renamed.tsx"), ["run"]),
        (lambda root: (root / "src" / "main.tsx").unlink(), ["run"]),
        (lambda root: (root / "package-lock.json").write_text("changed"), ["ci", "run"]),
        (lambda root: (root / ".npmrc").write_text("changed"), ["ci", "run"]),
        (lambda root: (root / "dist").rename(root.parent / "gone"), ["run"]),
        (lambda root: (root / "node_modules").rename(root.parent / "gone"), []),
        (lambda root: os.utime(root / "src" / "main.tsx", (0, 0)), []),
        (lambda root: (root / "node_modules" / "cache").write_text("of a tool"), []),
    ],
)
def test_what_the_build_reads_decides_whether_it_is_stale(
    dashboard: Path, change: Callable[[Path], object], steps: list[str]
) -> None:
    built(dashboard)
    change(dashboard)
    assert built(dashboard) == steps
    assert built(dashboard) == []


def test_a_build_that_breaks_off_leaves_the_old_one(dashboard: Path) -> None:
    built(dashboard)
    (dashboard / "index.html").write_text("the second")
    (dashboard.parent / "fails").write_text("src/main.tsx: an error of ours")
    with pytest.raises(script.Failed, match=r"npm run ended with status 1\.\nsrc/main.tsx: an error"):
        built(dashboard)
    assert (dashboard / "dist" / "index.html").read_text() == "the first index.html"
    (dashboard.parent / "fails").unlink()
    assert built(dashboard) == ["run"]
    assert (dashboard / "dist" / "index.html").read_text() == "the second"
    assert sorted(path.name for path in (dashboard / "node_modules").iterdir()) == [".installed-from"]


def test_packages_that_were_installed_by_halves_are_installed_again(dashboard: Path) -> None:
    (dashboard.parent / "fails").write_text("killed")
    with pytest.raises(script.Failed):
        built(dashboard)
    (dashboard.parent / "fails").unlink()
    assert built(dashboard) == ["ci", "run"]


@pytest.mark.parametrize("code", ["ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "E502", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"])
def test_a_registry_that_does_not_answer_is_said_as_such(dashboard: Path, code: str) -> None:
    (dashboard.parent / "fails").write_text(f"npm error code {code}\nnpm error and much more")
    with pytest.raises(script.Failed, match=rf"^npm cannot reach its registry \({code}\). Check the network") as failed:
        built(dashboard)
    assert "much more" not in str(failed.value)


def test_two_at_once_take_turns(dashboard: Path, tmp_path: Path) -> None:
    take_turns = (
        "import sys, time; from pathlib import Path; from deploy.dashboard import only_one\n"
        "notes = Path(sys.argv[2])\n"
        "with only_one(Path(sys.argv[1])), notes.open('a', buffering=1) as said:\n"
        "    said.write('in\\n'); time.sleep(0.2); said.write('out\\n')\n"
    )
    notes = tmp_path / "turns"
    python = str(Path(sys.prefix) / "bin" / "python")
    processes = [subprocess.Popen([python, "-c", take_turns, dashboard, notes]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert notes.read_text().split() == ["in", "out"] * 3
