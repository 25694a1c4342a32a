"""Commands that put everything the services keep into one file, and back."""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import IO, Annotated

import asyncpg
import typer
from pydantic import SecretStr

from cli import backup_database, backup_file, backup_place
from cli.backup_file import SECRETS, Manifest, Reader, Writer
from cli.backup_place import Place
from cli.errors import CommandError, told
from cli.migrate import MigrateSettings, bring_up_to_date, migrate
from deploy.local.settings import SERVICES, DatabaseSettings
from kit import revisions
from kit.settings import load

STANDARD = Path("-")
WARNING = "# Who has this file can read and seal what the services keep. Guard it, or encrypt it.\n"
_EXPECTED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to make, or - for standard output.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put APP_SECRET_KEY and JWT_SECRET into it, in the clear.")
    ] = False,
) -> None:
    """Write everything that the four services keep into one file, as of one moment, while they go on.

    Of DATABASE_URL, or of the embedded stack in PRIVATEROUTER_HOME. A backup is of no use without the APP_SECRET_KEY
    it was made under: keep that as well, elsewhere.

    For example:
        privaterouter backup privaterouter-2026-05-15.zip
        privaterouter backup - | age -r age1... > privaterouter.zip.age
        privaterouter backup everything.zip --with-secrets --force
    """
    with told(), backup_place.to_read(load(DatabaseSettings)) as place:
        try:
            made = asyncio.run(_backup(place, file, force=force, with_secrets=with_secrets))
        except _EXPECTED as error:
            raise CommandError(f"Could not back up {place.name}: {error}") from error
        rows = sum(table.rows for table in made.tables)
        size = f", {file.stat().st_size:,} bytes" if file != STANDARD else ""
        print(f"Backed up {place.name} into {file}: {rows:,} rows of {len(made.tables)} tables{size}.", file=sys.stderr)
        if not with_secrets:
            print("APP_SECRET_KEY is not in it: keep that as well, elsewhere.", file=sys.stderr)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` has made, or - for standard input.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the database has now, once the file has proved to be whole.")
    ] = False,
    other_secret: Annotated[
        bool,
        typer.Option(
            "--other-secret",
            help="Accept that APP_SECRET_KEY is another one than at the backup: API keys stop working.",
        ),
    ] = False,
) -> None:
    """Bring the database to what is in a backup, with its roles and rights, and then up to this release.

    Into DATABASE_URL, or into the embedded stack in PRIVATEROUTER_HOME, with all services stopped. What has happened
    since the backup is lost, but for what waits in the journals of the edges: that is booked when they start.

    For example:
        privaterouter restore privaterouter-2026-05-15.zip
        privaterouter restore privaterouter-2026-05-15.zip --replace
        age -d privaterouter.zip.age | privaterouter restore -
    """
    settings = load(DatabaseSettings)
    with told(), _source(file) as source, backup_file.opened(source) as reader:
        _refuse_unknown_revisions(reader.manifest)
        reader.verify()
        with backup_place.to_write(settings) as place:
            found = _secrets(place, reader, other_secret=other_secret)
            try:
                asyncio.run(_restore(place, reader, settings, found["APP_SECRET_KEY"], replace=replace))
            except _EXPECTED as error:
                raise CommandError(f"Could not restore {place.name}: {error}") from error
            _keep_secrets(place, found)
            print(
                f"Restored {place.name} as it was at {reader.manifest.made_at}. Start the services, then check the "
                "books: privaterouter ledger verify && privaterouter reconcile --all"
            )


async def _backup(place: Place, file: Path, *, force: bool, with_secrets: bool) -> Manifest:
    connection = await backup_database.connect(place.url)
    try:
        with _target(file, force=force) as writer:
            app_secret = place.secrets.get("APP_SECRET_KEY", "")
            if with_secrets:
                if not app_secret:
                    raise CommandError("APP_SECRET_KEY is not set, so it cannot be in the backup.")
                writer.text(SECRETS, WARNING + "".join(f"{name}={value}\n" for name, value in place.secrets.items()))
            made = await backup_database.copy_out(
                connection,
                writer,
                release=metadata.version("privaterouter"),
                app_secret=backup_place.mark(app_secret) if app_secret else "",
            )
            writer.finish(made)
            return made
    finally:
        await connection.close()


def _target(file: Path, *, force: bool) -> AbstractContextManager[Writer]:
    if file != STANDARD:
        return backup_file.written(file, force=force)
    if sys.stdout.isatty():
        raise CommandError("A terminal is no place for a backup: send standard output to a file or a program.")
    return backup_file.streamed(sys.stdout.buffer)


def _source(file: Path) -> AbstractContextManager[IO[bytes]]:
    """The file; what comes from standard input is put aside first, since an archive is read from its end."""
    if file != STANDARD:
        try:
            return file.open("rb")
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    shutil.copyfileobj(sys.stdin.buffer, spooled)
    return spooled


def _refuse_unknown_revisions(manifest: Manifest) -> None:
    for service in SERVICES:
        revision = manifest.revisions.get(service, "")
        if revision not in revisions.history(service).known:
            raise CommandError(
                f"The backup was made by release {manifest.release}, whose schema of {service} ({revision}) this one "
                "does not know: restore it with that release or a newer one."
            )


def _secrets(place: Place, reader: Reader, *, other_secret: bool) -> dict[str, str]:
    """The secrets to go on with: the place's own, else the backup's. CommandError where they are not those of it."""
    in_backup = dict(
        line.split("=", 1) for line in reader.secrets().splitlines() if "=" in line and not line.startswith("#")
    )
    found = {**(in_backup if place.home else {}), **place.secrets}
    app_secret = found.get("APP_SECRET_KEY", "")
    if not app_secret:
        raise CommandError(
            "APP_SECRET_KEY is not set: set the one that the backup was made under."
            + (f" It is in the backup itself: unzip -p FILE {SECRETS}" if in_backup else "")
        )
    made_under = reader.manifest.app_secret
    if made_under and backup_place.mark(app_secret) != made_under and not other_secret:
        raise CommandError(
            "APP_SECRET_KEY is not the one that the backup was made under, so that no API key in it would work and no "
            "credential could be read. Set that one, or accept it: --other-secret"
        )
    return found


async def _restore(place: Place, reader: Reader, settings: DatabaseSettings, app_secret: str, *, replace: bool) -> None:
    own = {f"{name}_database_url": settings.own_database_url(name) for name in SERVICES}
    migration = MigrateSettings.model_validate(
        {"database_url": place.url, "app_secret_key": SecretStr(app_secret), **own}
    )
    connection = await backup_database.connect(place.url)
    try:
        if connected := await backup_database.who_is_connected(connection):
            raise CommandError(f"Still connected to {place.name}: {' and '.join(connected)}. Stop them first.")
        if existing := await backup_database.existing_schemas(connection):
            if not replace:
                raise CommandError(
                    f"There is something in {place.name}: the schemas {', '.join(existing)}. Restore into an empty "
                    "database, or delete what is there: --replace"
                )
            await backup_database.drop_schemas(connection)
        try:
            for service in SERVICES:
                await bring_up_to_date(migration, service, revision=reader.manifest.revisions[service])
            await backup_database.copy_in(connection, reader)
        except BaseException:
            # Nobody shall take what is half restored for a database.
            await backup_database.drop_schemas(connection)
            raise
        await migrate(migration)
    finally:
        await connection.close()


def _keep_secrets(place: Place, found: dict[str, str]) -> None:
    """An embedded stack that had no secrets goes on with those of the backup."""
    if place.home is None or place.home.secrets.exists():
        return
    descriptor = os.open(place.home.secrets, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.writelines(f"{name}={value}\n" for name, value in found.items())
