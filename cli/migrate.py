"""Migrates the schemas of all services: `privaterouter migrate`, or `python -m cli.migrate`."""

import asyncio
import sys

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from deploy.local.settings import SERVICES
from kit import dsn, migrations
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

    Raises MigrationError, and what asyncpg and SQLAlchemy raise.
    """
    url = settings.database_url
    for service in SERVICES:
        if not getattr(settings, f"{service}_database_url"):
            password = dsn.service_password(service, settings.app_secret_key.get_secret_value())
            await migrations.ensure_role(url, dsn.role_of(service), password, service)
        before = await migrations.current(service, url)
        newest = migrations.head(service)
        if before == newest:
            print(f"{service}: up to date ({newest})", flush=True)
            continue
        print(f"{service}: migrating from {before or 'nothing'} to {newest} ...", flush=True)
        await migrations.upgrade(service, url)


def main() -> int:
    """Exit status: 0, or 1 with one line on stderr; wrong settings are 2."""
    settings = load(MigrateSettings)
    try:
        asyncio.run(migrate(settings))
    except migrations.MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError) as error:
        print(f"The database could not be migrated: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
