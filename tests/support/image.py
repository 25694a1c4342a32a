"""deploy/Dockerfile as text, and what it makes of the repository, laid out in a directory without an engine."""

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Every stage: its instructions with their arguments, lines that continue put together."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "deploy/Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[list[Instruction]] = [[]]
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.startswith("FROM "):
            found.append([])
        if line:
            name, _, arguments = line.partition(" ")
            found[-1].append((name, arguments))
    return found


def copied(stage: list[Instruction]) -> list[tuple[str, str]]:
    """What a stage copies from the repository: source and target as they stand."""
    return [
        (source, arguments.split()[-1])
        for name, arguments in stage
        if name == "COPY" and "--from=" not in arguments
        for source in arguments.split()[:-1]
    ]


class Image:
    """The image's files under `root`: `app` as its /app, and `bin` as its programs.

    The programs are those of this Python, but see nothing beside /app and the packages of requirements/runtime.txt.
    """

    def __init__(self, root: Path) -> None:
        self.app = root / "app"
        self.bin = root / "bin"
        self._packages = root / "packages"
        self._copy()
        self._link_packages()
        self.bin.mkdir()
        self._program("python", "")
        self._program("alembic", "-m alembic")
        self._program("privaterouter", "-m cli")

    def _copy(self) -> None:
        """As the stage of Python does; the requirements are gone in the end."""
        for source, target in copied(stages()[2]):
            if source.startswith("requirements/"):
                continue
            place = self.app / target if target != "./" else self.app
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)

    def _link_packages(self) -> None:
        """Of the packages that are installed, those that the image has as well."""
        self._packages.mkdir()
        for name in re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements/runtime.txt").read_text(), re.MULTILINE):
            try:
                found = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue  # for another system
            for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
                link = self._packages / top
                if not link.exists():
                    link.symlink_to(Path(str(found.locate_file(top))))
        # Our own package is only what tells the version.
        ours = metadata.distribution("privaterouter")
        told = next(file for file in ours.files or () if file.name == "METADATA").parent
        (self._packages / told.name).symlink_to(Path(str(ours.locate_file(told))))

    def _program(self, name: str, arguments: str) -> None:
        """Without `site`, which would bring in all that is installed here, and the repository itself."""
        path = ":".join(str(place) for place in (self.app, self.app / "gen", self._packages))
        script = f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -S {arguments} "$@"\n'
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)
