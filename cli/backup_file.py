"""The file of a backup: a ZIP archive of tables as `COPY` writes them, with a manifest that says what is in it.

    auth/users.copy ...    one for each table: COPY's text format, without heading
    secrets.env            only where it was asked for
    manifest.json          last, so that a file that was cut off has none

The archive's own tools read it (`unzip -l`). Nothing in it is SQL: what a restore runs comes from the release.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Final

from cli.errors import CommandError

FORMAT: Final = 1
PIECE_BYTES: Final = 1 << 20
MANIFEST: Final = "manifest.json"
SECRETS: Final = "secrets.env"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with all its rows, those of its partitions included."""

    schema: str
    name: str
    columns: list[str]
    rows: int = 0
    sha256: str = ""
    """Of what `COPY` wrote."""

    @property
    def member(self) -> str:
        """Its file in the archive."""
        return f"{self.schema}/{self.name}.copy"


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A part of a partitioned table, as it was made."""

    schema: str
    parent: str
    name: str
    bound: str
    options: list[str]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds, and what a restore needs to know beforehand."""

    format: int = FORMAT
    made_at: str = ""
    """ISO time, by Postgres."""
    release: str = ""
    postgres: str = ""
    revisions: dict[str, str] = field(default_factory=dict)
    """Of each service's schema."""
    app_secret: str = ""
    """Tells one APP_SECRET_KEY from another and nothing else of it; empty where it was not known."""
    tables: list[Table] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)
    """The last value of each, by schema and name with a dot between."""


class Writer:
    """Writes an archive piece by piece."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def member(self, name: str) -> Iterator["Sink"]:
        """A new file in it."""
        with self._archive.open(name, "w", force_zip64=True) as output:
            yield Sink(output)

    def text(self, name: str, text: str) -> None:
        """A small file in it."""
        self._archive.writestr(name, text)

    def finish(self, manifest: Manifest) -> None:
        """The last file."""
        self.text(MANIFEST, json.dumps(asdict(manifest), indent=1))


class Sink:
    """Takes what belongs into one file of the archive, and sums it up."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._sha256 = hashlib.sha256()

    async def __call__(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._sha256.update(data)
        self._output.write(data)

    @property
    def sha256(self) -> str:
        """Of all that it took."""
        return self._sha256.hexdigest()


@contextmanager
def written(path: Path, *, force: bool) -> Iterator[Writer]:
    """A new archive for its owner alone, in its place only when all of it is on disk; CommandError.

    One that is there is replaced where `force` says so.
    """
    if path.exists() and not force:
        raise CommandError(f"{path} exists already: choose another name, or --force to replace it.")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as output:
                with streamed(output) as writer:
                    yield writer
                output.flush()
                os.fsync(output.fileno())
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{path} could not be written: {error.strerror or error}.") from error


@contextmanager
def streamed(output: IO[bytes]) -> Iterator[Writer]:
    """An archive into an open file, which may be a pipe."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        yield Writer(archive)


class Reader:
    """An archive that has its manifest. What is read of it is compared with that."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    def verify(self) -> None:
        """Reads all of it once; CommandError where it is not as it was written."""
        for table in self.manifest.tables:
            digest = hashlib.sha256()
            for piece in self._pieces(table):
                digest.update(piece)
            if digest.hexdigest() != table.sha256:
                raise CommandError(f"The backup is damaged: {table.member} is not as it was written.")

    async def rows(self, table: Table) -> AsyncIterator[bytes]:
        """A table's rows as `COPY` reads them."""
        for piece in self._pieces(table):
            yield piece

    def secrets(self) -> str:
        """The text of its `secrets.env`; empty where it has none."""
        if SECRETS not in self._archive.namelist():
            return ""
        return self._archive.read(SECRETS).decode()

    def _pieces(self, table: Table) -> Iterator[bytes]:
        try:
            with self._archive.open(table.member) as member:
                while piece := member.read(PIECE_BYTES):
                    yield piece
        except (KeyError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise CommandError(f"The backup is damaged: {table.member} cannot be read ({error}).") from error


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[Reader]:
    """A backup to read. CommandError where it is none, is cut off, or was made by a release that knows more."""
    try:
        archive = zipfile.ZipFile(source)
    except OSError as error:
        raise CommandError(f"{source} cannot be read: {error.strerror or error}.") from error
    except zipfile.BadZipFile:
        raise CommandError("This is no backup, or one that was cut off.") from None
    with archive:
        yield Reader(archive, _manifest(archive))


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        found: dict[str, Any] = json.loads(archive.read(MANIFEST))
        if found["format"] != FORMAT:
            raise CommandError(
                f"The backup has format {found['format']}; this release reads {FORMAT}: use a newer one."
            )
        known = {one.name for one in fields(Manifest)}
        tables = [Table(**table) for table in found.pop("tables")]
        partitions = [Partition(**partition) for partition in found.pop("partitions")]
        return Manifest(
            **{name: value for name, value in found.items() if name in known}, tables=tables, partitions=partitions
        )
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile):
        raise CommandError("This is no backup, or one that was cut off: it has no manifest.") from None
