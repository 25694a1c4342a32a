"""Settings of the catalogue's two programs: the server, and the seeding before it."""

from typing import Literal, Self

from pydantic import SecretStr, model_validator

from kit.settings import LogLevel, Secret, Settings
from kit.tls import TlsDir


class DatabaseSettings(Settings):
    """What both programs need."""

    catalog_database_url: str
    redis_url: str
    app_secret_key: Secret
    app_secret_key_previous: Secret | None = None
    log_level: LogLevel = "info"


class CatalogSettings(DatabaseSettings):
    """Settings of `python -m services.catalog`. Empty, `tls_dir` is plaintext, the two after it are no port."""

    catalog_listen: str
    tls_dir: TlsDir | None = None
    health_listen: str = ""
    metrics_port: int | None = None


class SeedSettings(DatabaseSettings):
    """Settings of `python -m services.catalog.seed`: which upstream the seeded models are routed to.

    `embedded` needs the four EMBEDDED_ variables, the other kinds UPSTREAM_BASE_URL (with or without `/v1`). Of another
    kind, with EMBEDDED_CHAT_URL as well: it stands in front of the embedded models.
    """

    upstream_kind: Literal["embedded", "openai", "ollama", "litellm"]
    upstream_base_url: str = ""
    upstream_api_key: SecretStr = SecretStr("")
    litellm_virtual_keys: bool = False
    embedded_chat_url: str = ""
    embedded_embed_url: str = ""
    embedded_chat_model: str = ""
    embedded_embed_model: str = ""

    @property
    def embedded_models(self) -> bool:
        """Whether two small models stand in for all those of the catalogue."""
        return bool(self.embedded_chat_url)

    @model_validator(mode="after")
    def _require_addresses(self) -> Self:
        """Which variables are needed depends on the kind."""
        needed = ["upstream_base_url"]
        if self.upstream_kind == "embedded":
            needed = ["embedded_chat_url", "embedded_embed_url", "embedded_chat_model", "embedded_embed_model"]
        missing = [name.upper() for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"UPSTREAM_KIND={self.upstream_kind} also needs {', '.join(missing)}")
        return self
