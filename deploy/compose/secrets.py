"""Checks the secrets of `.env` and hands each container the ones that it needs: `python -m deploy.compose.secrets`.

The first step of docker-compose.yml. Each container gets a volume of its own with files in it, which the processes read
by SECRETS_DIR. So a secret is in no environment but this step's, which ends at once, and no container has another's.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from deploy.compose.settings import SecretsSettings
from deploy.local.settings import SERVICES
from kit.dsn import service_url
from kit.secrets import derive
from kit.settings import load, text_of

SERVER: Final = "postgres:5432"
OURS: Final = 0o400
"""Our own containers run as the user that writes the files."""
OTHERS: Final = 0o444
"""Those of PostgreSQL and LiteLLM run as other users; the volume is theirs alone all the same."""
MODES: Final = {"postgres": OTHERS, "litellm": OTHERS}

Files = dict[str, dict[str, str]]


def files(settings: SecretsSettings) -> Files:
    """By container, the files' names and contents. A file is named like the setting, in lower case."""
    app_secret = settings.app_secret_key.get_secret_value()
    password = settings.postgres_password.get_secret_value()
    owner_url = database_url("privaterouter", derive(password, "database owner: privaterouter").hex())
    litellm_url = database_url("litellm", derive(password, "database owner: litellm").hex())
    own = {f"{name}_database_url": service_url(owner_url, name, app_secret) for name in SERVICES}
    master_key = settings.litellm_master_key.get_secret_value()
    tracing = {"otel_exporter_otlp_headers": settings.otel_exporter_otlp_headers.get_secret_value()}
    # An empty file counts as none.
    sealing = {"app_secret_key": app_secret, "app_secret_key_previous": text_of(settings.app_secret_key_previous)}
    signing = {
        "jwt_secret": settings.jwt_secret.get_secret_value(),
        "jwt_secret_previous": text_of(settings.jwt_secret_previous),
    }
    return {
        "migrate": {
            "superuser_database_url": database_url("postgres", password),
            "database_url": owner_url,
            "litellm_database_url": litellm_url,
            **sealing,
            # Under another name: a service's own address would tell the migrations to leave that role's password alone.
            "seed_database_url": own["catalog_database_url"],
        },
        # The edge itself needs what signs sessions. The rest is for `docker compose exec api alembic ...` and
        # `python -m scripts.seed`, which run as the same user: a file hides nothing from somebody who runs code in the
        # edge, but it is not in the environment, which ends up in dumps, and the role is no superuser. In a cluster the
        # edge has none of them: jobs migrate and seed there.
        "api": {
            **signing,
            "database_url": owner_url,
            **sealing,
            "catalog_database_url": own["catalog_database_url"],
            **tracing,
        },
        "auth": {
            "auth_database_url": own["auth_database_url"],
            **sealing,
            "litellm_master_key": master_key,
            **tracing,
        },
        "catalog": {"catalog_database_url": own["catalog_database_url"], **sealing, **tracing},
        "billing": {"billing_database_url": own["billing_database_url"], **tracing},
        "usage": {"usage_database_url": own["usage_database_url"], **sealing, **tracing},
        "postgres": {"postgres_password": password},
        # LiteLLM reads no files, so its shell does.
        "litellm": {
            "environment": exports(
                DATABASE_URL=litellm_url,
                LITELLM_MASTER_KEY=master_key,
                LITELLM_SALT_KEY=settings.litellm_salt_key.get_secret_value(),
            )
        },
    }


def database_url(name: str, password: str) -> str:
    """The address of a role's database on the server of docker-compose.yml; both have the same name."""
    return f"postgresql://{name}:{password}@{SERVER}/{name}"


def exports(**variables: str) -> str:
    """A file for a shell to read in."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def write(wanted: Files, root: Path) -> None:
    """Bring each container's directory to what is wanted, older files removed. OSError where it cannot."""
    for container, contents in wanted.items():
        directory = root / container
        directory.mkdir(exist_ok=True)
        for name, text in contents.items():
            replace(directory / name, text, mode=MODES.get(container, OURS))
        for file in directory.iterdir():
            if file.name not in contents:
                file.unlink()


def replace(file: Path, text: str, *, mode: int) -> None:
    """Write a file so that a reader sees the old text or the new one, and nobody else sees either."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
        os.fchmod(opened.fileno(), mode)  # whatever the umask is
        opened.write(text)
    part.replace(file)


def main() -> None:
    """Exit status 0, or 1 with one line on stderr; bad secrets are 2, each named in a line of its own."""
    settings = load(SecretsSettings)
    wanted = files(settings)
    try:
        write(wanted, settings.secrets_root)
    except OSError as error:
        sys.exit(f"The secrets could not be written: {error}.")
    print(f"The secrets are fit for use, and written for {', '.join(wanted)}.")


if __name__ == "__main__":
    main()
