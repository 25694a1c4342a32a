"""`make reset` deletes what it was told to, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.home import Home


def reset(home: Path, answer: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.reset"],
        cwd=home.parent,
        env={**os.environ, "PRIVATEROUTER_HOME": home.name},
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )


def made(directory: Path) -> Home:
    home = Home(directory / "home")
    home.create()
    (home.root / "secrets.env").write_text("kept\n")
    return home


def test_yes_deletes_the_home(tmp_path: Path) -> None:
    home = made(tmp_path)
    answer = reset(home.root, "y\n")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_anything_else_deletes_nothing(tmp_path: Path) -> None:
    home = made(tmp_path)
    for said in ("n\n", "\n", "", "yess\n"):
        answer = reset(home.root, said)
        assert answer.returncode == 1
        assert "Left as it is." in answer.stdout
    assert home.secrets.read_text() == "kept\n"


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter").write_text("kept")
    answer = reset(tmp_path / "documents", "y\n")
    assert answer.returncode == 1
    assert "left alone" in answer.stderr
    assert (tmp_path / "documents" / "letter").read_text() == "kept"


def test_a_home_in_use_is_left_alone(tmp_path: Path) -> None:
    home = made(tmp_path)
    with home.locked(stopped=lambda: False):
        answer = reset(home.root, "y\n")
    assert answer.returncode == 1
    assert "Another stack runs" in answer.stderr
    assert home.secrets.read_text() == "kept\n"


def test_nothing_to_delete_is_fine(tmp_path: Path) -> None:
    answer = reset(tmp_path / "home", "")
    assert answer.returncode == 0
    assert list(tmp_path.iterdir()) == []
