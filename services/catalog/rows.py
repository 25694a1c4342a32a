"""What the catalogue consists of, as plain values: what the store reads and writes, and the rules judge."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID


class ModelKind(StrEnum):
    """What a model does."""

    CHAT = "chat"
    EMBEDDING = "embedding"


class ModelStatus(StrEnum):
    """Whether a model is offered."""

    ACTIVE = "active"
    DISABLED = "disabled"


class UpstreamKind(StrEnum):
    """How to talk to an upstream."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    LITELLM = "litellm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One version of a model's price, in nano-dollars for a million tokens."""

    version_id: UUID
    input_nanos_per_mtok: int
    cached_input_nanos_per_mtok: int | None
    output_nanos_per_mtok: int
    effective_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a model is served."""

    upstream_name: str
    upstream_model: str
    weight: int = 1
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with its current price and its routes by position."""

    id: UUID
    public_name: str
    family: str
    kind: ModelKind
    status: ModelStatus
    context_tokens: int
    max_output_tokens: int
    dimensions: int
    template_tokens: int
    tools_tokens: int
    image_tokens: int
    upstream_model: str
    create_time: datetime
    price: Price
    routes: tuple[Route, ...]

    def with_price(self, price: Price) -> Self:
        """The model at another price."""
        return replace(self, price=price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an account may use; amounts in nano-dollars, `allowed_models` sorted and empty where all are allowed."""

    id: str
    name: str
    monthly_nanos: int
    included_nanos: int
    rpm: int
    all_models: bool
    allowed_models: tuple[str, ...]
    monthly_quota_tokens: int | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server that models are served by; the credential is sealed, None where there is none."""

    name: str
    kind: UpstreamKind
    base_url: str
    sealed_credential: bytes | None
    virtual_keys: bool
