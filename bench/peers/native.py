"""The two programs in C, compiled with the system's compiler; with that of the wheel `ziglang` where there is none."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.peers import installs

SOURCES = Path(__file__).with_name("native")
FLAGS = ("-O2", "-std=gnu17", "-Wall", "-Wextra")


class CannotCompile(Exception):
    """There is no compiler, or it refuses; the message has its words."""


@dataclass(frozen=True)
class Programs:
    """Paths of the compiled programs."""

    upstream: Path
    load: Path


def build(directory: Path) -> Programs:
    """Compile what has changed into `directory`. Raises CannotCompile."""
    compiler = _compiler(directory)
    state = hashlib.sha256(" ".join(compiler).encode())
    for source in sorted(SOURCES.iterdir()):
        state.update(source.read_bytes())
    target = directory / "native" / state.hexdigest()[:16]
    target.mkdir(parents=True, exist_ok=True)
    for name in ("upstream", "load"):
        if not (target / name).exists():
            _compile(compiler, SOURCES / f"{name}.c", target / name)
    return Programs(upstream=target / "upstream", load=target / "load")


def _compiler(directory: Path) -> list[str]:
    own = os.environ.get("CC") or "cc"
    if shutil.which(own.split()[0]):
        return own.split()
    return [str(installs.python_environment("zig", directory)), "-m", "ziglang", "cc"]


def _compile(compiler: list[str], source: Path, program: Path) -> None:
    """Under another name first, so that a program that is there is a whole one."""
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")
    done = subprocess.run(
        [*compiler, *FLAGS, "-o", unfinished, source], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise CannotCompile(f"{' '.join(compiler)} could not compile {source.name}:\n{done.stderr}")
    unfinished.replace(program)
