"""Where the doctor is, and what can be reached from there."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from pydantic import SecretStr

from cli.settings import CliSettings
from deploy.local import places
from deploy.local.home import Home
from deploy.local.places import Places
from deploy.local.settings import SERVICES
from kit.dsn import service_url
from kit.tls import Tls, TlsError

OWN_SECRETS: Final = ("APP_SECRET_KEY", "JWT_SECRET")
"""Those that are ours to make; each must be long and its own."""


class DoctorSettings(CliSettings):
    """Whatever is set, taken as it is: what is wrong with it is what the doctor is asked for."""

    database_url: str = ""
    auth_database_url: str = ""
    catalog_database_url: str = ""
    billing_database_url: str = ""
    usage_database_url: str = ""
    redis_url: str = ""
    app_secret_key: SecretStr = SecretStr("")
    jwt_secret: SecretStr = SecretStr("")
    litellm_master_key: SecretStr = SecretStr("")
    litellm_master_key_next: SecretStr = SecretStr("")
    upstream_api_key: SecretStr = SecretStr("")
    edge_journal_dir: Path | None = None
    tls_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Addresses are empty where they are not known here."""

    home: Home
    running: Places | None
    """The embedded stack that runs, unless addresses of another one are set."""
    targets: dict[str, str]
    """gRPC targets of the services."""
    database_url: str
    """The owner's."""
    service_urls: dict[str, str]
    redis_url: str
    journal: Path | None
    tls_dir: Path | None
    tls: Tls | None
    """None where there is none, or none that can be used."""
    secrets: dict[str, str] = field(repr=False)
    """By the names of their settings."""


def look_around(settings: DoctorSettings) -> Surroundings:
    """What the settings say, and for what they do not, the embedded stack that runs."""
    home = Home(settings.privaterouter_home.expanduser().absolute())
    addresses = {name: str(getattr(settings, f"{name}_addr")) for name in SERVICES}
    running = None if any(addresses.values()) else places.read(home.places)
    secrets = {**_kept(home if running else None), **_given(settings)}
    database_url = settings.database_url or (running.database_url if running else "")
    own = {name: str(getattr(settings, f"{name}_database_url")) for name in SERVICES}
    if database_url and (secret := secrets.get("APP_SECRET_KEY")):
        own = {name: url or service_url(database_url, name, secret) for name, url in own.items()}
    journal = settings.edge_journal_dir or (home.journal if home.journal.exists() else None)
    return Surroundings(
        home=home,
        running=running,
        targets={name: running.address(name) if running else addresses[name] for name in SERVICES},
        database_url=database_url,
        service_urls={name: url for name, url in own.items() if url},
        redis_url=settings.redis_url or (running.redis_url if running else ""),
        journal=home.journal if running else journal,
        # The embedded stack speaks plaintext over sockets of its own.
        tls_dir=None if running else settings.tls_dir,
        tls=None if running else _tls(settings.tls_dir),
        secrets=secrets,
    )


def in_file() -> dict[str, str]:
    """What `.env` sets."""
    return {name: value for name, value in dotenv_values(".env").items() if value}


def in_environment(name: str) -> str:
    """What the environment sets."""
    return os.environ.get(name, "")


def _tls(directory: Path | None) -> Tls | None:
    try:
        return Tls.of(directory)
    except TlsError:
        return None


def _kept(home: Home | None) -> dict[str, str]:
    if home is None or not home.secrets.exists():
        return {}
    return {name: value for name, value in dotenv_values(home.secrets).items() if value}


def _given(settings: DoctorSettings) -> dict[str, str]:
    given = {name.upper(): value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return {name: value for name, value in given.items() if value}
