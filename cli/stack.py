"""Commands about a whole stack: start the embedded one, migrate, seed."""

import os
import subprocess
import sys

from cli.connect import embedded
from cli.errors import CommandError, told
from cli.settings import CliSettings
from deploy.local import secrets
from deploy.local import stack as local_stack
from deploy.local.environment import Environment, module
from deploy.local.home import Home
from deploy.local.settings import DatabaseSettings, StackSettings
from kit.settings import load


def up() -> None:
    """Start everything on this machine, and stop it with Ctrl-C.

    PostgreSQL, Valkey, a small language model, the four services and the edge; data and logs are in
    PRIVATEROUTER_HOME (.local). Each part is replaced by a setting: DATABASE_URL, REDIS_URL, or UPSTREAM_KIND
    with UPSTREAM_BASE_URL and UPSTREAM_API_KEY. UPSTREAM_KIND=litellm alone puts a LiteLLM proxy in front of the
    small model. EDGE_PORT (8000) and DASHBOARD_PORT (3000) move it.

    For example:
        privaterouter up
        PRIVATEROUTER_HOME=.local2 EDGE_PORT=8001 DASHBOARD_PORT=3001 privaterouter up
        UPSTREAM_KIND=ollama UPSTREAM_BASE_URL=http://localhost:11434 privaterouter up
        UPSTREAM_KIND=litellm privaterouter up
    """
    with told():
        local_stack.up(load(StackSettings))


def migrate() -> None:
    """Bring the database schemas of all services up to date.

    Works on DATABASE_URL (with APP_SECRET_KEY, from which the services' database passwords are derived), or on the
    embedded stack that runs in PRIVATEROUTER_HOME. `privaterouter up` does it by itself.

    For example:
        DATABASE_URL=postgresql://owner:...@db/privaterouter privaterouter migrate
    """
    if load(DatabaseSettings).database_url:
        _become("cli.migrate", dict(os.environ))
    _become("cli.migrate", _environment(load(StackSettings)).migrate())


def seed() -> None:
    """Bring models, plans and upstreams to what this release and the settings say; your own changes stay.

    Works on CATALOG_DATABASE_URL, or on the embedded stack that runs in PRIVATEROUTER_HOME. `privaterouter up` does it
    by itself.

    For example:
        privaterouter seed
    """
    if load(DatabaseSettings).catalog_database_url:
        _become("services.catalog.seed", dict(os.environ))
    settings = load(StackSettings)
    environment = _environment(settings).seed()
    if settings.runs_models and not environment["EMBEDDED_CHAT_URL"]:
        with told():
            raise CommandError("This stack runs no model: set UPSTREAM_KIND and UPSTREAM_BASE_URL as at its start.")
    if settings.runs_litellm and not environment["UPSTREAM_BASE_URL"]:
        with told():
            raise CommandError("This stack runs no LiteLLM: set UPSTREAM_KIND as at its start.")
    _become("services.catalog.seed", environment)


def _environment(settings: StackSettings) -> Environment:
    with told():
        running = embedded(load(CliSettings))
        home = Home(settings.home)
        if not home.secrets.exists():
            raise CommandError(f"{home.secrets} is gone: without it the stack's database cannot be opened.")
        return Environment(settings, secrets.load(settings, home.secrets), running, home)


def _become(name: str, environment: dict[str, str]) -> None:
    """Run one of our programs in this process's place; ends with its exit status."""
    sys.exit(subprocess.run(module(name), env=environment, check=False).returncode)
