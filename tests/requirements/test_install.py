"""The set-up installs when something changed, and only then."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
Installs = list[tuple[str, ...]]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """requirements/install.py in a copy of the project, with an `install` that only takes notes."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    spec = importlib.util.spec_from_file_location("install", tmp_path / "requirements" / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    installs: Installs = []

    def install(locks: tuple[str, ...], *, download_mb: int) -> None:
        assert download_mb > 0
        (tmp_path / ".venv").mkdir(exist_ok=True)
        installs.append(locks)

    monkeypatch.setattr(module, "install", install)
    monkeypatch.setattr(module, "installs", installs, raising=False)
    return module


def run(script: ModuleType, group: str, monkeypatch: pytest.MonkeyPatch) -> Installs:
    """What this run of the set-up installed."""
    monkeypatch.setattr(sys, "argv", ["install.py", group])
    before = len(script.installs)
    assert script.main() == 0
    new: Installs = script.installs[before:]
    return new


def test_the_second_run_installs_nothing(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(script, "embedded", monkeypatch) == [("tools", "runtime", "embedded")]
    assert run(script, "embedded", monkeypatch) == []


def test_the_development_tools_come_on_top(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(script, "embedded", monkeypatch)
    assert run(script, "dev", monkeypatch) == [("tools", "runtime", "embedded", "dev")]
    assert run(script, "dev", monkeypatch) == []
    assert run(script, "embedded", monkeypatch) == []


@pytest.mark.parametrize("file", ["requirements/runtime.txt", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    run(script, "dev", monkeypatch)
    with (tmp_path / file).open("a") as changed:
        changed.write("# changed\n")
    assert len(run(script, "embedded", monkeypatch)) == 1
    assert len(run(script, "dev", monkeypatch)) == 1


def test_a_changed_development_lock_does_not_concern_the_stack(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(script, "dev", monkeypatch)
    with (tmp_path / "requirements" / "dev.txt").open("a") as changed:
        changed.write("# changed\n")
    assert run(script, "embedded", monkeypatch) == []
    assert len(run(script, "dev", monkeypatch)) == 1
