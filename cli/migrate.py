"""Migrates the schemas of all services: `privaterouter migrate`, or `python -m cli.migrate`."""

import asyncio
import sys

import asyncpg

from cli.errors import CommandError, told
from deploy.local.settings import SERVICES
from kit import dsn, revisions, starting
from kit.settings import Secret, Settings, load


class MigrateSettings(Settings):
    """`database_url` is the owner's; a service whose own address is set keeps the password that stands in there."""

    database_url: str
    app_secret_key: Secret
    auth_database_url: str = ""
    catalog_database_url: str = ""
    billing_database_url: str = ""
    usage_database_url: str = ""


async def migrate(settings: MigrateSettings) -> None:
    """Roles, schemas and tables of every service, as new as this release; prints what it did.

    Raises CommandError where roles cannot be made or a schema is newer (then none is touched), and what asyncpg and
    SQLAlchemy raise.
    """
    applied = {service: await revisions.applied(service, settings.database_url) for service in SERVICES}
    for service, current in applied.items():
        if current and current not in revisions.history(service).known:
            raise CommandError(
                f"{service} is at {current}, which this release does not know: a newer one has migrated this database. "
                "Run that one."
            )
    for service, current in applied.items():
        newest = revisions.history(service).newest
        if current and current == newest and await has_its_role(settings, service):
            print(f"{service}: up to date ({current})", flush=True)
        else:
            await bring_up_to_date(settings, service)


async def has_its_role(settings: MigrateSettings, service: str) -> bool:
    """Whether the service's role has the password that is derived for it, or one that somebody else looks after."""
    if getattr(settings, f"{service}_database_url"):
        return True
    secret = settings.app_secret_key.get_secret_value()
    return await revisions.may_connect(dsn.service_url(settings.database_url, service, secret))


async def bring_up_to_date(settings: MigrateSettings, service: str, *, revision: str = "head") -> None:
    """Make the service's role and schema where absent, and run the revisions that are missing."""
    # Imported here, since it takes over a second, and most starts have nothing to migrate.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from kit import migrations  # noqa: PLC0415

    url = settings.database_url
    target = migrations.head(service) if revision == "head" else revision
    print(f"{service}: migrating to {target} ...", flush=True)
    try:
        if not getattr(settings, f"{service}_database_url"):
            password = dsn.service_password(service, settings.app_secret_key.get_secret_value())
            await migrations.ensure_role(url, dsn.role_of(service), password, service)
        await migrations.upgrade(service, url, revision)
    except migrations.MigrationError as error:
        raise CommandError(str(error)) from error
    except SQLAlchemyError as error:
        raise CommandError(f"{service} could not be migrated: {str(error).splitlines()[0]}") from error


async def _when_it_answers(settings: MigrateSettings) -> None:
    database = starting.postgres(settings.database_url)
    await starting.wait_for(database, within_s=settings.start_within_s, say=_say)
    await migrate(settings)


def _say(need: starting.Need, missing: str, waited_s: float) -> None:
    print(f"Waiting for {need.what}, which {missing} ({waited_s:.0f} s)", file=sys.stderr, flush=True)


def main() -> int:
    """Exit status: 0, or 1 with one line on stderr; wrong settings are 2."""
    settings = load(MigrateSettings)
    with told():
        try:
            asyncio.run(_when_it_answers(settings))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise CommandError(f"The database could not be migrated: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
