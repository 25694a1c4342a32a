"""docker-compose.yml as the real Docker Compose renders it, which needs no engine for that."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from deploy.compose.settings import SecretsSettings

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
SECRETS = {
    "APP_SECRET_KEY": "0f" + "a1b2c3d4e5f60718" * 4,
    "JWT_SECRET": "1f" + "a1b2c3d4e5f60718" * 4,
    "LITELLM_MASTER_KEY": "sk-2f" + "a1b2c3d4e5f60718" * 4,
    "LITELLM_SALT_KEY": "3f" + "a1b2c3d4e5f60718" * 4,
    "POSTGRES_PASSWORD": "4f" + "a1b2c3d4e5f60718" * 4,
}

Service = dict[str, Any]


def secrets_settings() -> SecretsSettings:
    """Those secrets as the step `secrets` reads them."""
    return SecretsSettings.model_validate({name.lower(): text for name, text in SECRETS.items()})


def run(*arguments: str, variables: Mapping[str, str], env_file: str = os.devnull) -> subprocess.CompletedProcess[str]:
    """`docker compose --env-file ... config` and more, with these variables and no others of ours."""
    return subprocess.run(
        [COMPOSE, "--project-directory", ROOT, "--env-file", env_file, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def rendered(*profiles: str) -> dict[str, Any]:
    """The whole of it, with the services of these profiles besides; `*` is all of them. Not to be changed.

    A dollar sign that is left for a shell is doubled in it, as it is in the file.
    """
    return rendered_with(SECRETS, *profiles)


def rendered_with(variables: Mapping[str, str], *profiles: str) -> dict[str, Any]:
    """The same with these variables and no others."""
    chosen = [argument for profile in profiles for argument in ("--profile", profile)]
    done = run(*chosen, "config", "--format", "json", variables=variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    whole: dict[str, Any] = json.loads(done.stdout)
    return whole
