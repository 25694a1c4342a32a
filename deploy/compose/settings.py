"""Settings of the steps that come before the services in docker-compose.yml."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from kit.settings import Secret, Settings


def _begins_as_litellm_wants(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("sk-"):
        raise ValueError('must begin with "sk-", or LiteLLM refuses it; make one with: echo sk-$(openssl rand -hex 32)')
    return value


class SecretsSettings(Settings):
    """What `python -m deploy.compose.secrets` reads: the secrets of `.env`, and the directory to write into."""

    app_secret_key: Secret
    app_secret_key_previous: Secret | None = None
    jwt_secret: Secret
    jwt_secret_previous: Secret | None = None
    litellm_master_key: Annotated[Secret, AfterValidator(_begins_as_litellm_wants)]
    litellm_salt_key: Secret
    postgres_password: Secret
    otel_exporter_otlp_headers: SecretStr = SecretStr("")
    secrets_root: Path = Path("/var/lib/privaterouter/secrets")
    """Has a directory for each container, which is a volume that nobody else mounts."""


class DatabasesSettings(Settings):
    """What `python -m deploy.compose.databases` reads: addresses, each naming its role, password and database."""

    superuser_database_url: str
    database_url: str
    litellm_database_url: str
