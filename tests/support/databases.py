"""Fresh databases in milliseconds: each is a copy of a template that the real migrations have made."""

from itertools import count
from urllib.parse import urlsplit

import asyncpg

from kit import dsn, migrations
from kit.database import Database

APP_SECRET = "the secret of all databases that tests make"

_numbers = count(1)


class Cluster:
    """The Postgres server of a test run, and the templates made on it so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._templates: dict[tuple[str, ...], str] = {}

    async def template(self, services: tuple[str, ...]) -> str:
        """Name of a database that is migrated for these services; made when first asked for."""
        if services not in self._templates:
            name = "_".join(("template", *services))
            await self.execute(f"DROP DATABASE IF EXISTS {name}")  # left half made by a failing migration
            await self.execute(f"CREATE DATABASE {name}")
            # A password of a test need not withstand anybody; else a quarter of what a connection takes is its check.
            await self.execute("ALTER ROLE CURRENT_USER SET scram_iterations = 1")
            for service in services:
                url = self.url_of(name)
                password = dsn.service_password(service, APP_SECRET)
                await migrations.ensure_role(url, dsn.role_of(service), password, service)
                await migrations.upgrade(service, url)
            self._templates[services] = name
        return self._templates[services]

    def url_of(self, name: str) -> str:
        """The migrator's DSN of a database."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def copy(self, template: str, name: str) -> None:
        """Makes a database like another one, file by file: through the log, as is usual, takes twice as long."""
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")

    async def execute(self, statement: str) -> None:
        """Runs a statement outside any transaction, in the server's own database."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Databases:
    """Makes databases for one test and drops them after it; use the fixture `databases`.

    await databases.create("billing")       a Database connected as billing's role, billing's schema migrated
    await databases.fresh("auth", "usage")  the migrator's DSN of a new database with those schemas
    databases.url_for("auth", url)          a service's own DSN on it, for a real service process
    await databases.connect("auth", url)    a Database on it, connected as that service's role
    await databases.admin(url)              an asyncpg connection on it that may do anything
    await databases.fresh()                 an empty database

    `create` and `connect` take Database.connect's keywords. What they open is closed after the test.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._names: list[str] = []
        self._open: list[Database | asyncpg.Connection[asyncpg.Record]] = []

    async def fresh(self, *services: str) -> str:
        """The migrator's DSN of a new database that is migrated for these services."""
        template = await self._cluster.template(services) if services else "template1"
        name = f"test_{next(_numbers)}"
        await self._cluster.copy(template, name)
        self._names.append(name)
        return self._cluster.url_of(name)

    def url_for(self, service: str, url: str) -> str:
        """The DSN that the service itself would use on that database."""
        return dsn.service_url(url, service, APP_SECRET)

    async def create(self, service: str, *, max_size: int = 10) -> Database:
        """A Database on a fresh database, connected as the service's role: grants are as in production."""
        return await self.connect(service, await self.fresh(service), max_size=max_size)

    async def connect(self, service: str, url: str, *, max_size: int = 10) -> Database:
        """A Database on that database, connected as the service's role."""
        database = await Database.connect(
            self.url_for(service, url), application_name=f"test-{service}", max_size=max_size
        )
        self._open.append(database)
        return database

    async def admin(self, url: str) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of the migrator, to look at and change what the service may not."""
        connection = await asyncpg.connect(url)
        self._open.append(connection)
        return connection

    async def close(self) -> None:
        """Closes what was opened and drops what was made."""
        for connected in self._open:
            await connected.close()
        for name in self._names:
            await self._cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")
