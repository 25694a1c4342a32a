"""What every file of ours keeps to."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("kit", "edge", "services", "cli", "deploy", "bench", "tests", "requirements")
MOST_LINES = 400


def python_files() -> list[Path]:
    return sorted(file for part in PARTS for file in (ROOT / part).rglob("*.py") if "node_modules" not in file.parts)


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in python_files()}
    assert len(lengths) > 20
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_tool_is_silenced_without_a_named_rule() -> None:
    """`noqa` and `type: ignore` name what they except."""
    bare = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in python_files()
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.rstrip().endswith(("# noqa", "# type: " + "ignore"))
    ]
    assert bare == []


def test_make_alone_prints_every_command() -> None:
    answer = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    listed = {line.split()[0] for line in answer.stdout.splitlines() if line.startswith("  ")}
    assert listed >= {"up", "reset", "test", "check", "pytest", "fmt", "proto", "proto-baseline", "lock", "setup"}
