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


class Sticky(StrEnum):
    """What requests have in common that go to the same route."""

    NONE = ""
    PROMPT_PREFIX = "prompt_prefix"
    USER = "user"


class Dialect(StrEnum):
    """A way to ask for an answer that not every upstream speaks."""

    RESPONSES = "responses"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One version of a model's price, in nano-dollars for a million tokens; None: as input."""

    version_id: UUID
    input_nanos_per_mtok: int
    cached_input_nanos_per_mtok: int | None
    cache_write_input_nanos_per_mtok: int | None
    output_nanos_per_mtok: int
    effective_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a model is served; a timeout of 0 is the contract's default."""

    upstream_name: str
    upstream_model: str
    weight: int = 1
    position: int = 0
    connect_timeout_ms: int = 0
    first_byte_timeout_ms: int = 0
    idle_timeout_ms: int = 0
    total_timeout_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with its current price, its routes by position, and the names of those that may answer for it."""

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
    fallback_models: tuple[str, ...] = ()
    sticky: Sticky = Sticky.NONE

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
    tpm: int | None = None
    max_in_flight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server that models are served by; the credential is sealed, None where there is none.

    `max_in_flight` of 0 is no limit, `max_queued` of 0 as many as may run; `dialects` are sorted.
    """

    name: str
    kind: UpstreamKind
    base_url: str
    sealed_credential: bytes | None
    virtual_keys: bool
    max_in_flight: int = 0
    max_queued: int = 0
    dialects: tuple[Dialect, ...] = ()
