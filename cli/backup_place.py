"""Which database a backup is made of, or restored into: the one that the settings name, or the embedded one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dotenv import dotenv_values

from cli.errors import CommandError
from deploy.local import places
from deploy.local.home import Home
from deploy.local.postgres import Postgres
from deploy.local.process import StackError
from deploy.local.secrets import NAMES
from deploy.local.settings import DatabaseSettings
from kit.dsn import place
from kit.secrets import derive


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database that answers, as its owner reaches it, and the secrets that belong to it as far as they are known."""

    url: str
    secrets: dict[str, str]
    """By name; repr would show them, so nobody prints this."""
    home: Home | None
    """Of the embedded stack; None for a server of one's own."""

    @property
    def name(self) -> str:
        """For people, without a password."""
        return f"the embedded database of {self.home.root}" if self.home else f"the database at {place(self.url)}"


@contextmanager
def to_read(settings: DatabaseSettings) -> Iterator[Place]:
    """The database as it is; an embedded one that does not run is started for the while. CommandError, StackError."""
    home = _embedded(settings)
    if home is None:
        yield Place(url=settings.database_url, secrets=_given(settings), home=None)
        return
    running = places.read(home.places)
    if running:
        yield Place(url=running.database_url, secrets={**_kept(home), **_given(settings)}, home=home)
        return
    if not home.postgres.exists():
        raise CommandError(f"There is no database in {home.root}: name its PRIVATEROUTER_HOME, or set DATABASE_URL.")
    with _started(home) as url:
        yield Place(url=url, secrets={**_kept(home), **_given(settings)}, home=home)


@contextmanager
def to_write(settings: DatabaseSettings) -> Iterator[Place]:
    """The database to restore into; the embedded one must not run, and is started for the while."""
    home = _embedded(settings)
    if home is None:
        yield Place(url=settings.database_url, secrets=_given(settings), home=None)
        return
    if places.read(home.places):
        raise CommandError(f"A stack runs in {home.root}: stop it first.")
    with _started(home) as url:
        yield Place(url=url, secrets={**_kept(home), **_given(settings)}, home=home)


def mark(app_secret: str) -> str:
    """Tells one APP_SECRET_KEY from another, and nothing else of it."""
    return derive(app_secret, "backup: which secret").hex()[:16]


def _embedded(settings: DatabaseSettings) -> Home | None:
    return None if settings.database_url else Home(settings.home)


@contextmanager
def _started(home: Home) -> Iterator[str]:
    """PostgreSQL alone, on the home's data, which no stack may use meanwhile."""
    home.create()
    with home.locked(stopped=lambda: False), Postgres(home.postgres, log=home.log("postgres")) as server:
        print("Started the embedded PostgreSQL for this.", file=sys.stderr)
        yield server.url


def _given(settings: DatabaseSettings) -> dict[str, str]:
    given = {"APP_SECRET_KEY": settings.app_secret_key, "JWT_SECRET": settings.jwt_secret}
    return {name: secret.get_secret_value() for name, secret in given.items() if secret}


def _kept(home: Home) -> dict[str, str]:
    """The generated secrets of an embedded stack; none where it never ran."""
    if not home.secrets.exists():
        return {}
    try:
        return {name: value for name, value in dotenv_values(home.secrets).items() if value and name in NAMES}
    except OSError as error:
        raise StackError(f"{home.secrets} cannot be read: {error.strerror}.") from error
