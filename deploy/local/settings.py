"""Settings of the embedded stack: where it lives, its ports, and which parts are replaced by ones of your own."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from kit.settings import LogLevel, Secret, Settings

SERVICES = ("auth", "catalog", "billing", "usage")

Port = Annotated[int, Field(ge=0, le=65535)]


class DatabaseSettings(Settings):
    """Where the data is, for who works on that and asks no upstream; no address means the embedded database."""

    privaterouter_home: Path = Path(".local")
    app_secret_key: Secret | None = None
    jwt_secret: Secret | None = None
    database_url: str = ""
    auth_database_url: str = ""
    catalog_database_url: str = ""
    billing_database_url: str = ""
    usage_database_url: str = ""

    @model_validator(mode="after")
    def _require_the_owners_address(self) -> Self:
        named = [name for name in SERVICES if self.own_database_url(name)]
        if named and not self.database_url:
            raise ValueError(f"{named[0].upper()}_DATABASE_URL also needs DATABASE_URL, for the migrations")
        return self

    @property
    def home(self) -> Path:
        """PRIVATEROUTER_HOME as an absolute path."""
        return self.privaterouter_home.expanduser().absolute()

    def own_database_url(self, service: str) -> str:
        """What is set as this service's <NAME>_DATABASE_URL; empty: to be derived."""
        url: str = getattr(self, f"{service}_database_url")
        return url


class StackSettings(DatabaseSettings):
    """What `privaterouter up` reads. A port of 0 is any free one; an empty address means the embedded part."""

    edge_port: Port = 8000
    dashboard_port: Port = 3000
    metrics_port: Port = 0
    edge_drain_s: float = 25.0
    redis_url: str = ""
    upstream_kind: Literal["embedded", "openai", "ollama", "litellm"] = "embedded"
    upstream_base_url: str = ""
    upstream_api_key: SecretStr = SecretStr("")
    litellm_virtual_keys: bool = True
    log_level: LogLevel = "info"
    """Read here only to be refused at once: the processes read it for themselves."""

    @model_validator(mode="after")
    def _require_what_belongs_together(self) -> Self:
        """Half a replacement would fail later, and less clearly."""
        if not self.runs_models and not self.upstream_base_url:
            raise ValueError(f"UPSTREAM_KIND={self.upstream_kind} also needs UPSTREAM_BASE_URL")
        if self.runs_litellm and self.upstream_api_key.get_secret_value():
            raise ValueError("the master key of a LiteLLM of your own also needs its address: UPSTREAM_BASE_URL")
        if self.upstream_kind == "embedded" and self.upstream_base_url:
            raise ValueError("UPSTREAM_BASE_URL also needs UPSTREAM_KIND: openai, ollama or litellm")
        if self.upstream_base_url and not re.match(r"https?://[^/\s]", self.upstream_base_url):
            raise ValueError("UPSTREAM_BASE_URL must look like http://host:port")
        if self.virtual_keys and not self.upstream_api_key.get_secret_value():
            raise ValueError(
                "virtual keys need LiteLLM's master key as UPSTREAM_API_KEY, or LITELLM_VIRTUAL_KEYS=false"
            )
        return self

    @property
    def runs_litellm(self) -> bool:
        """Whether the stack has a LiteLLM of its own in front of its models."""
        return self.upstream_kind == "litellm" and not self.upstream_base_url

    @property
    def runs_models(self) -> bool:
        """Whether the stack serves the models itself."""
        return self.upstream_kind == "embedded" or self.runs_litellm

    @property
    def virtual_keys(self) -> bool:
        """Whether LiteLLM is asked for a virtual key with each API key; the embedded one has no database for them."""
        return self.upstream_kind == "litellm" and self.litellm_virtual_keys and not self.runs_litellm
