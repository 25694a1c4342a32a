"""Settings of the steps that come before the services in docker-compose.yml."""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, SecretStr, model_validator

from kit.settings import Secret, Settings


def _begins_as_litellm_wants(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("sk-"):
        raise ValueError('must begin with "sk-", or LiteLLM refuses it; make one with: echo sk-$(openssl rand -hex 32)')
    return value


class SecretsSettings(Settings):
    """What `python -m deploy.compose.secrets` reads: the secrets of `.env`, and the directory to write into."""

    app_secret_key: Secret
    jwt_secret: Secret
    litellm_master_key: Annotated[Secret, AfterValidator(_begins_as_litellm_wants)]
    litellm_salt_key: Secret
    postgres_password: Secret
    secrets_root: Path = Path("/var/lib/privaterouter/secrets")
    """Has a directory for each container, which is a volume that nobody else mounts."""

    @model_validator(mode="after")
    def _refuse_equal_ones(self) -> Self:
        """Whoever learns one of them must not know another."""
        fields = ("app_secret_key", "jwt_secret", "litellm_master_key", "litellm_salt_key", "postgres_password")
        for one, other in combinations(fields, 2):
            if getattr(self, one) == getattr(self, other):
                raise ValueError(f"{one.upper()} and {other.upper()} are the same; make one for each purpose")
        return self


class DatabasesSettings(Settings):
    """What `python -m deploy.compose.databases` reads: addresses, each naming its role, password and database."""

    superuser_database_url: str
    database_url: str
    litellm_database_url: str
