"""What the tables hold, as the rules see it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["user", "admin"]
Status = Literal["active", "disabled"]


@dataclass(frozen=True, slots=True)
class User:
    """A person who signed up; the id is also that of the billing account."""

    id: UUID
    email: str
    name: str
    role: Role
    status: Status
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A period in which a user is logged in."""

    id: UUID
    user_id: UUID
    create_time: datetime
    expire_time: datetime
    user_agent: str
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What the owner of an API key may choose; None: no limit, never expires."""

    name: str
    status: Status
    monthly_limit_nanos: int | None
    allowed_models: tuple[str, ...]
    rpm_limit: int | None
    expire_time: datetime | None
    tpm_limit: int | None = None
    max_in_flight: int | None = None
    keeps_answers: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, without its secret."""

    id: UUID
    user_id: UUID
    key_prefix: str
    settings: KeySettings
    create_time: datetime
    last_use_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeletedKey:
    """What an API key was."""

    key_prefix: str
    name: str
    had_virtual_key: bool


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key with what decides whether it may be used."""

    api_key: ApiKey
    owner_status: Status
    virtual_key_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Revocation:
    """Something that caches must drop: one key, or with no key id all keys of the user."""

    sequence: int
    api_key_id: UUID | None
    user_id: UUID
