"""Alembic's environment, the same for every service; without `-n <service>` a command runs for all of them."""

import asyncio

from alembic import context
from alembic.config import Config
from sqlalchemy import Connection, text

from kit import migrations
from kit.settings import Settings, load


class MigratorSettings(Settings):
    """What the `alembic` command needs to know."""

    database_url: str


def run_for_each(outer: Config) -> None:
    """Repeats the command line for every service listed in alembic.ini."""
    arguments = outer.cmd_opts
    if arguments is None or outer.config_file_name is None:
        raise migrations.MigrationError("name a service with -n")
    function, positional, keywords = arguments.cmd
    # Alembic keeps the running environment in module globals, so ours must step aside.
    environment = context._proxy  # type: ignore[attr-defined]  # noqa: SLF001
    environment.__exit__()
    try:
        for service in outer.get_main_option("services", "").split():
            outer.print_stdout("%s:", service)
            config = Config(outer.config_file_name, ini_section=service, cmd_opts=arguments)
            function(
                config,
                *(getattr(arguments, name) for name in positional),
                **{name: getattr(arguments, name) for name in keywords},
            )
    finally:
        environment.__enter__()


async def run_for_one(config: Config) -> None:
    """Runs the command on the service that is this configuration's section."""
    service = config.config_ini_section
    url = config.attributes.get("url") or load(MigratorSettings).database_url
    async with migrations.engine(url).connect() as connection:
        await connection.run_sync(run_on, service)


def run_on(connection: Connection, service: str) -> None:
    """Runs the command on an open connection."""
    options = migrations.options(service, connection)
    connection.commit()
    context.configure(connection=connection, **options)
    if not context.get_context().opts.get("dont_mutate"):
        prepare(connection, service)
    with context.begin_transaction():
        context.run_migrations()


def prepare(connection: Connection, service: str) -> None:
    """Waits for other migrators, makes what revisions take for granted, sets their timeouts.

    A revision that cannot get its lock in 4 s fails rather than queue all traffic behind itself.
    """
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": migrations.LOCK_KEY})
    for statement in migrations.prerequisites(service):
        connection.execute(text(statement))
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.execute(text("SET statement_timeout = '60s'"))
    connection.commit()


if context.config.config_ini_section == "alembic":
    run_for_each(context.config)
else:
    asyncio.run(run_for_one(context.config))
