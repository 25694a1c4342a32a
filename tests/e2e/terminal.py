"""A terminal that types the blocks of a page: one shell, one Python session, and Node.js."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

VENV = Path(sys.executable).parent.parent
# Reads blocks as JSON lines, runs each in one namespace, and tells when it is done.
_PYTHON = """
import json, sys
namespace = {}
for line in sys.stdin:
    exec(json.loads(line), namespace)
    print("\\0", flush=True)
"""


class Terminal:
    """Runs blocks one after the other in a directory that looks like a clone. Each returns what was printed."""

    def __init__(self, directory: Path, *, node_modules: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._state = directory / "state.sh"
        self._state.touch()
        self._environment = environment
        self._python: subprocess.Popen[str] | None = None
        (directory / ".venv").symlink_to(VENV)
        (directory / "node_modules").symlink_to(node_modules)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._python is not None:
            self._python.kill()
            self._python.communicate()

    def bash(self, text: str) -> str:
        """A block for the shell; variables that it sets stay set."""
        whole = f"set -eu; source {self._state}; set -a\n{text}\nset +a; export -p > {self._state}"
        return self._run(["bash", "-c", whole])

    def python(self, text: str) -> str:
        """A block for Python, in the session of the blocks before it."""
        if self._python is None:
            self._python = subprocess.Popen(
                [VENV / "bin" / "python", "-c", _PYTHON],
                cwd=self._directory,
                env={**self._environment, **self._variables()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        session = self._python
        assert session.stdin
        assert session.stdout
        session.stdin.write(json.dumps(text) + "\n")
        session.stdin.flush()
        printed = ""
        while not printed.endswith("\0\n"):
            line = session.stdout.readline()
            assert line, f"the Python session ended in:\n{text}"
            printed += line
        return printed.removesuffix("\0\n")

    def js(self, text: str) -> str:
        """A block for Node.js, as a file of its own."""
        (self._directory / "first.mjs").write_text(text)
        return self._run([VENV / "bin" / "node", "first.mjs"], **self._variables())

    def _variables(self) -> dict[str, str]:
        answer = self._run(["bash", "-c", f"source {self._state}; env -0"])
        return dict(line.split("=", 1) for line in answer.split("\0") if "=" in line)

    def _run(self, command: list[str | Path], **more: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._directory,
            env={**self._environment, **more},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout
