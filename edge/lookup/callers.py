"""Who calls: what the edge knows of an API key."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """An API key that may be used, and the account that pays for it."""

    api_key_id: str
    account_id: str
    monthly_limit_nanos: int | None
    """The most that it may spend in a UTC month. None: no limit."""
    allowed_models: frozenset[str]
    """Public names. Empty: all that the plan allows."""
    rpm_limit: int | None
    """Requests a minute for this key, beside the plan's limit. None: no limit of its own."""
    expire_time: datetime | None
    virtual_key: str = field(repr=False)
    """The key's LiteLLM virtual key. Empty: it has none."""
    tpm_limit: int | None = None
    """Tokens a minute for this key, beside the plan's limit. None: no limit of its own."""
    max_in_flight: int | None = None
    """Calls of this key that may run at the same time, beside the plan's limit. None: no limit of its own."""
    keeps_answers: bool = False
    """Whether answers to calls with an `Idempotency-Key` are kept for who calls again."""
