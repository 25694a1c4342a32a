"""API keys: how secrets look and are kept, what owners may set, and what a secret turns out to be."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from kit import audit_log
from kit.audit_log import Act, Change
from kit.database import Connection
from kit.errors import InvalidArgument
from kit.secrets import derive
from kit.tokens import has_valid_form, make_token
from services.auth import checks, store_api_keys, store_users
from services.auth.errors import ApiKeyNotFound, TooManyApiKeys, UserNotFound
from services.auth.rows import ApiKey, KeySettings, KnownKey

SECRET_PREFIX = "sk-pr-live-"  # noqa: S105 (what every secret begins with, for all to see)
KEY_PREFIX_CHARS = 15
MAX_KEYS = 100
MAX_MODELS = 100
MAX_RPM = 1_000_000
MAX_TPM = 10**12
MAX_IN_FLIGHT = 1_000_000
CHANGEABLE = (
    "name",
    "status",
    "monthly_limit_nanos",
    "allowed_models",
    "rpm_limit",
    "expire_time",
    "tpm_limit",
    "max_in_flight",
    "keeps_answers",
)


class Outcome(Enum):
    """What a secret, or a key named by its id, turned out to be."""

    ACTIVE = "active"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    EXPIRED = "expired"
    OWNER_DISABLED = "owner_disabled"


@dataclass(frozen=True, slots=True)
class Resolved:
    """An outcome; the key and its sealed virtual key only where it is ACTIVE."""

    outcome: Outcome
    api_key: ApiKey | None = None
    virtual_key_sealed: bytes | None = None


class Resolution(NamedTuple):
    """What a batch of secrets turned out to be, in their order."""

    answers: list[Resolved]
    last_sequence: int
    """The last revocation that they reflect."""
    stale: dict[UUID, bytes]
    """Keys that are stored under the application secret before this one, with the digests that they should have."""


class NewKey(NamedTuple):
    """A key that is not stored yet, and the one moment in which its secret is known."""

    api_key: ApiKey
    secret: str


class Digester:
    """Turns secrets into what is stored of them: HMAC-SHA256 under a pepper that the database never sees.

    A slow hash would add nothing, since secrets are random and long; it would cost every look-up.
    """

    def __init__(self, app_secret: str, *, previous: str = "") -> None:
        secrets = (app_secret, previous) if previous else (app_secret,)
        self._peppers = [derive(each, "auth: digests of API keys") for each in secrets]

    def digest(self, secret: str) -> bytes:
        """32 bytes."""
        return self.digests(secret)[0]

    def digests(self, secret: str) -> list[bytes]:
        """All under which it may be stored: the present one, and that of the application secret before."""
        return [hmac.digest(pepper, secret.encode(), hashlib.sha256) for pepper in self._peppers]


def check(settings: KeySettings, fields: Collection[str] = CHANGEABLE, *, now: datetime) -> None:
    """Refuses values that the named fields may not have, with InvalidArgument."""
    if "name" in fields:
        checks.text("name", settings.name, least=1, most=checks.MAX_NAME_CHARS)
    if "monthly_limit_nanos" in fields and (settings.monthly_limit_nanos or 0) < 0:
        raise InvalidArgument("monthly_limit_nanos must not be negative", field="monthly_limit_nanos")
    if "allowed_models" in fields:
        if len(settings.allowed_models) > MAX_MODELS:
            raise InvalidArgument(f"allowed_models must have at most {MAX_MODELS} names", field="allowed_models")
        for model in settings.allowed_models:
            checks.text("allowed_models", model, least=1, most=checks.MAX_NAME_CHARS)
    for field, most in (("rpm_limit", MAX_RPM), ("tpm_limit", MAX_TPM), ("max_in_flight", MAX_IN_FLIGHT)):
        if field in fields:
            checks.limit(field, getattr(settings, field), most=most)
    if "expire_time" in fields and settings.expire_time is not None:
        checks.future("expire_time", settings.expire_time, now=now)


def make(
    settings: KeySettings, *, user_id: UUID, api_key_id: UUID, random_bytes: Callable[[int], bytes], now: datetime
) -> NewKey:
    """A key with a fresh secret. InvalidArgument as `check`."""
    check(settings, now=now)
    secret = make_token(SECRET_PREFIX, random_bytes)
    return NewKey(ApiKey(api_key_id, user_id, secret[:KEY_PREFIX_CHARS], settings, create_time=now), secret)


async def require_room(c: Connection, user_id: UUID) -> None:
    """Holds other creations of the user back until the transaction ends. UserNotFound, TooManyApiKeys."""
    if await store_users.locked_user(c, user_id) is None:
        raise UserNotFound("there is no user with this id")
    if await store_api_keys.count_api_keys(c, user_id) >= MAX_KEYS:
        raise TooManyApiKeys(f"{MAX_KEYS} API keys are the most: delete one first", limit=str(MAX_KEYS))


async def create(c: Connection, new: NewKey, *, digester: Digester, virtual_key_sealed: bytes | None, act: Act) -> None:
    """Stores a key. UserNotFound, TooManyApiKeys."""
    await require_room(c, new.api_key.user_id)
    await store_api_keys.insert_api_key(
        c, new.api_key, secret_digest=digester.digest(new.secret), virtual_key_sealed=virtual_key_sealed
    )
    details = audit_log.changes({}, {"key_prefix": new.api_key.key_prefix} | _changeable(new.api_key.settings))
    await _note(c, act, "api_key.created", new.api_key.id, details)


async def change(
    c: Connection, api_key_id: UUID, *, user_id: UUID, new: KeySettings, fields: frozenset[str], act: Act
) -> ApiKey:
    """Takes over the named fields of `new`. ApiKeyNotFound, InvalidArgument."""
    check(new, fields, now=act.time)
    old = await store_api_keys.locked_api_key(c, api_key_id, user_id=user_id)
    if old is None:
        raise ApiKeyNotFound("the user has no API key with this id")
    settings = replace(old.settings, **{field: getattr(new, field) for field in fields})
    await store_api_keys.update_api_key(c, api_key_id, settings)
    await store_api_keys.add_revocation(c, user_id=user_id, api_key_id=api_key_id, now=act.time)
    if details := audit_log.changes(_changeable(old.settings), _changeable(settings)):
        await _note(c, act, "api_key.updated", api_key_id, details)
    return replace(old, settings=settings)


async def delete(c: Connection, api_key_id: UUID, *, user_id: UUID, act: Act) -> bool:
    """Deletes a key for good; answers whether it had a virtual key. ApiKeyNotFound."""
    deleted = await store_api_keys.delete_api_key(c, api_key_id, user_id=user_id)
    if deleted is None:
        raise ApiKeyNotFound("the user has no API key with this id")
    await store_api_keys.add_revocation(c, user_id=user_id, api_key_id=api_key_id, now=act.time)
    gone = {"key_prefix": Change(deleted.key_prefix), "name": Change(deleted.name)}
    await _note(c, act, "api_key.deleted", api_key_id, gone)
    return deleted.had_virtual_key


async def revoke_all(c: Connection, user_id: UUID, *, now: datetime) -> None:
    """Has caches drop all keys of a user."""
    await store_api_keys.add_revocation(c, user_id=user_id, api_key_id=None, now=now)


async def resolve(c: Connection, secrets: Sequence[str], *, digester: Digester, now: datetime) -> Resolution:
    """What each secret is."""
    digests = [digester.digests(secret) if has_valid_form(SECRET_PREFIX, secret) else [] for secret in secrets]
    wanted = {digest for each in digests for digest in each}
    known, last_sequence = await store_api_keys.known_secrets(c, list(wanted))
    found = [next((known[digest] for digest in each if digest in known), None) for each in digests]
    stale = {key.api_key.id: each[0] for key, each in zip(found, digests, strict=True) if key and each[0] not in known}
    return Resolution([_judge(key, now) for key in found], last_sequence, stale)


async def resolve_by_id(c: Connection, api_key_id: UUID, *, user_id: UUID, now: datetime) -> Resolved:
    """What the user's key with this id is. ApiKeyNotFound."""
    known = await store_api_keys.known_key(c, api_key_id, user_id=user_id)
    if known is None:
        raise ApiKeyNotFound("the user has no API key with this id")
    return _judge(known, now)


async def _note(c: Connection, act: Act, action: str, api_key_id: UUID, details: Mapping[str, Change]) -> None:
    await audit_log.write(c, "auth", act, action=action, subject_kind="api_key", subject_id=api_key_id, details=details)


def _changeable(settings: KeySettings) -> dict[str, object]:
    return {field: getattr(settings, field) for field in CHANGEABLE}


def _judge(known: KnownKey | None, now: datetime) -> Resolved:
    if known is None:
        return Resolved(Outcome.UNKNOWN)
    settings = known.api_key.settings
    if known.owner_status != "active":
        return Resolved(Outcome.OWNER_DISABLED)
    if settings.status != "active":
        return Resolved(Outcome.DISABLED)
    if settings.expire_time is not None and settings.expire_time <= now:
        return Resolved(Outcome.EXPIRED)
    return Resolved(Outcome.ACTIVE, known.api_key, known.virtual_key_sealed)
