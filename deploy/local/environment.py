"""What each process of the stack is told, by environment variables alone."""

import os
import sys
from pathlib import Path

from dotenv import dotenv_values

from deploy.local.home import Home
from deploy.local.model import CHAT_MODEL, EMBED_MODEL
from deploy.local.places import Places
from deploy.local.secrets import Secrets
from deploy.local.settings import SERVICES, StackSettings
from kit.dsn import service_url

# Not handed on from our own environment: each process gets its own, or has no business with it.
WITHHELD = {
    "APP_SECRET_KEY",
    "DATABASE_URL",
    "DASHBOARD_PORT",
    "EDGE_JOURNAL_DIR",
    "EDGE_PORT",
    "EDGE_PORTS_FILE",
    "HEALTH_LISTEN",
    "JWT_SECRET",
    "METRICS_PORT",
    "TLS_DIR",
    *(f"{service.upper()}_{name}" for service in SERVICES for name in ("ADDR", "DATABASE_URL", "LISTEN")),
}


class Environment:
    """Environments for the processes of one stack, which run where no `.env` is, so that this is all they know."""

    def __init__(self, settings: StackSettings, secrets: Secrets, places: Places, home: Home) -> None:
        self._settings = settings
        self._app_secret = secrets.app_secret_key.get_secret_value()
        self._jwt_secret = secrets.jwt_secret.get_secret_value()
        self._places = places
        self._home = home
        self._upstream_url = settings.upstream_base_url
        self._upstream_key = settings.upstream_api_key.get_secret_value()
        if settings.runs_litellm:
            self._upstream_url = places.litellm_url
            self._upstream_key = secrets.litellm_master_key.get_secret_value()

    def migrate(self) -> dict[str, str]:
        """For the migrations, the only ones to get the owner's address."""
        given = {f"{name.upper()}_DATABASE_URL": self._settings.own_database_url(name) for name in SERVICES}
        return {
            **inherited(),
            **{name: url for name, url in given.items() if url},
            "DATABASE_URL": self._places.database_url,
            "APP_SECRET_KEY": self._app_secret,
        }

    def service(self, name: str) -> dict[str, str]:
        """For one of the services."""
        return {
            **self._shared(),
            **self._database(name),
            f"{name.upper()}_LISTEN": self._places.address(name),
        }

    def seed(self) -> dict[str, str]:
        """For the seeding of the catalogue, which learns here where the embedded models are, if they are used."""
        used = self._settings.runs_models
        return {
            **self._shared(),
            **self._database("catalog"),
            "EMBEDDED_CHAT_URL": self._places.chat_url if used else "",
            "EMBEDDED_CHAT_MODEL": CHAT_MODEL,
            "EMBEDDED_EMBED_URL": self._places.embed_url if used else "",
            "EMBEDDED_EMBED_MODEL": EMBED_MODEL,
        }

    def edge(self) -> dict[str, str]:
        """For the edge."""
        return {
            **self._shared(),
            "JWT_SECRET": self._jwt_secret,
            "EDGE_PORT": str(self._settings.edge_port),
            "DASHBOARD_PORT": str(self._settings.dashboard_port),
            "EDGE_DRAIN_S": str(self._settings.edge_drain_s),
            "METRICS_PORT": str(self._settings.metrics_port),
            "EDGE_PORTS_FILE": str(self._home.edge_ports),
            "EDGE_JOURNAL_DIR": str(self._home.journal),
        }

    def _shared(self) -> dict[str, str]:
        return {
            **inherited(),
            **{f"{name.upper()}_ADDR": self._places.address(name) for name in SERVICES},
            "APP_SECRET_KEY": self._app_secret,
            "REDIS_URL": self._places.redis_url,
            "LITELLM_VIRTUAL_KEYS": str(self._settings.virtual_keys).lower(),
            "LITELLM_BASE_URL": self._upstream_url,
            "LITELLM_MASTER_KEY": self._upstream_key,
            "UPSTREAM_KIND": self._settings.upstream_kind,
            "UPSTREAM_BASE_URL": self._upstream_url,
            "UPSTREAM_API_KEY": self._upstream_key,
        }

    def _database(self, service: str) -> dict[str, str]:
        url = self._settings.own_database_url(service)
        if not url:
            url = service_url(self._places.database_url, service, self._app_secret)
        return {f"{service.upper()}_DATABASE_URL": url}


def inherited() -> dict[str, str]:
    """Our own environment and `.env` (which yields to it), without what is given to each process on its own."""
    everything = {**dotenv_values(".env"), **os.environ}
    return {name: value for name, value in everything.items() if value is not None and name not in WITHHELD}


def module(name: str, *arguments: str) -> list[str | Path]:
    """Command line of one of our own programs."""
    return [sys.executable, "-m", name, *arguments]
