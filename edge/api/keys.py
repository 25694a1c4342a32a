"""A user's API keys."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from fastapi import Query as InQuery
from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import BaseModel, ConfigDict, Field

from edge.api.session import SignedIn
from edge.api.wire import Body, JsonRoute, Line, Moment, Page, PageQuery, Usd, identifier, timestamp, utc, utc_or_none
from edge.deps import Deps, With
from edge.errors import EdgeError
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.money import format_usd
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.billing.v1 import billing_pb2

SPEND_TIMEOUT_S = 2.0
"""Keys are worth listing without what they have spent, so that it is not long waited for."""
STATUSES = {"active": pb.API_KEY_STATUS_ACTIVE, "disabled": pb.API_KEY_STATUS_DISABLED}

log = get_logger()
router = APIRouter(prefix="/api/keys", tags=["API keys"], route_class=JsonRoute)

Status = Literal["active", "disabled"]
Limit = Annotated[Usd, Field(ge=0, description="The most that the key may spend in a UTC month. Null: no limit.")]
Models = Annotated[
    list[Line], Field(max_length=100, description="Models that the key may use. Empty: all that the plan allows.")
]
Rpm = Annotated[int, Field(ge=1, le=1_000_000, description="Requests a minute for this key. Null: the plan's alone.")]
Tpm = Annotated[int, Field(ge=1, le=10**12, description="Tokens a minute for this key. Null: the plan's alone.")]
InFlight = Annotated[
    int, Field(ge=1, le=1_000_000, description="Calls of this key at the same time. Null: the plan's limit alone.")
]
KeepsAnswers = Annotated[
    bool,
    Field(
        description="Whether answers to calls with an `Idempotency-Key` are kept for a day, for who calls again. "
        "False: a repeated call gets a receipt."
    ),
]
Expiry = Annotated[Moment, Field(description="When the key stops working. Null: never.")]
Name = Annotated[Line, Field(min_length=1, max_length=100)]


class NewKey(Body):
    """A key to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "laptop"}]})

    name: Name
    status: Status = "active"
    monthly_limit_usd: Limit | None = None
    allowed_models: Models = Field(default_factory=list)
    rpm_limit: Rpm | None = None
    tpm_limit: Tpm | None = None
    max_in_flight: InFlight | None = None
    keeps_answers: KeepsAnswers = False
    expires_at: Expiry | None = None


class KeyChange(Body):
    """What to change of a key: only the fields that are sent; null takes a limit away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "work laptop", "monthly_limit_usd": "5.00"}]})

    name: Name = ""
    status: Status = "active"
    monthly_limit_usd: Limit | None = None
    allowed_models: Models = Field(default_factory=list)
    rpm_limit: Rpm | None = None
    tpm_limit: Tpm | None = None
    max_in_flight: InFlight | None = None
    keeps_answers: KeepsAnswers = False
    expires_at: Expiry | None = None


class Key(BaseModel):
    """An API key, without its secret."""

    id: str
    name: str
    key_prefix: str = Field(examples=["sk-pr-live-7Q2f"])
    status: Status
    monthly_limit_usd: str | None
    allowed_models: list[str]
    rpm_limit: int | None
    tpm_limit: int | None
    max_in_flight: int | None
    keeps_answers: bool
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="About ten seconds late.")
    created_at: datetime
    spent_this_month_usd: str | None = Field(
        description="What it has been charged in this UTC month. Null: that cannot be asked at this moment."
    )

    @classmethod
    def of(cls, key: pb.ApiKey, *, spent_nanos: int | None) -> Self:
        """A key as answers show one."""
        return cls(
            id=key.id,
            name=key.name,
            key_prefix=key.key_prefix,
            status="active" if key.status == pb.API_KEY_STATUS_ACTIVE else "disabled",
            monthly_limit_usd=format_usd(key.monthly_limit_nanos) if key.HasField("monthly_limit_nanos") else None,
            allowed_models=list(key.allowed_models),
            rpm_limit=key.rpm_limit if key.HasField("rpm_limit") else None,
            tpm_limit=key.tpm_limit if key.HasField("tpm_limit") else None,
            max_in_flight=key.max_in_flight if key.HasField("max_in_flight") else None,
            keeps_answers=key.keeps_answers,
            expires_at=utc_or_none(key.expire_time if key.HasField("expire_time") else None),
            last_used_at=utc_or_none(key.last_use_time if key.HasField("last_use_time") else None),
            created_at=utc(key.create_time),
            spent_this_month_usd=None if spent_nanos is None else format_usd(spent_nanos),
        )


class CreatedKey(BaseModel):
    """A new key with its secret, which is shown here and never again."""

    key: str = Field(examples=["sk-pr-live-7Q2f..."])
    api_key: Key


@router.get("")
async def list_keys(login: SignedIn, query: Annotated[PageQuery, InQuery()], deps: With) -> Page[Key]:
    """The keys that are not deleted, newest first."""
    return await keys_page(deps, login.user.id, query)


@router.post("", status_code=201)
async def create_key(login: SignedIn, body: NewKey, deps: With) -> CreatedKey:
    """Create a key. Keep the answer's `key`: it cannot be shown again."""
    require_models(deps, body.allowed_models)
    request = pb.CreateApiKeyRequest(
        user_id=login.user.id,
        name=body.name,
        status=STATUSES[body.status],
        monthly_limit_nanos=body.monthly_limit_usd,
        allowed_models=body.allowed_models,
        rpm_limit=body.rpm_limit,
        tpm_limit=body.tpm_limit,
        max_in_flight=body.max_in_flight,
        keeps_answers=body.keeps_answers,
        expire_time=timestamp(body.expires_at),
    )
    with _expiry_named_as_here():
        answer = await deps.clients.auth.CreateApiKey(request)
    return CreatedKey(key=answer.secret, api_key=Key.of(answer.api_key, spent_nanos=0))


@router.patch("/{key_id}")
async def change_key(key_id: str, login: SignedIn, body: KeyChange, deps: With) -> Key:
    """Change a key. It takes effect within a second or so, on running keys too."""
    fields = {
        "name": "name",
        "status": "status",
        "monthly_limit_usd": "monthly_limit_nanos",
        "allowed_models": "allowed_models",
        "rpm_limit": "rpm_limit",
        "tpm_limit": "tpm_limit",
        "max_in_flight": "max_in_flight",
        "keeps_answers": "keeps_answers",
        "expires_at": "expire_time",
    }
    if not body.model_fields_set:
        raise EdgeError("invalid_body", f"Send at least one of: {', '.join(fields)}.")
    require_models(deps, body.allowed_models)
    api_key = pb.ApiKey(
        id=_key_id(key_id),
        name=body.name,
        status=STATUSES[body.status],
        monthly_limit_nanos=body.monthly_limit_usd,
        allowed_models=body.allowed_models,
        rpm_limit=body.rpm_limit,
        tpm_limit=body.tpm_limit,
        max_in_flight=body.max_in_flight,
        keeps_answers=body.keeps_answers,
        expire_time=timestamp(body.expires_at),
    )
    mask = FieldMask(paths=[fields[name] for name in sorted(body.model_fields_set)])
    request = pb.UpdateApiKeyRequest(user_id=login.user.id, api_key=api_key, update_mask=mask)
    with _expiry_named_as_here():
        changed = (await deps.clients.auth.UpdateApiKey(request)).api_key
    return (await _with_spend(deps, [changed]))[0]


@router.delete("/{key_id}", status_code=204)
async def delete_key(key_id: str, login: SignedIn, deps: With) -> None:
    """Delete a key for good."""
    request = pb.DeleteApiKeyRequest(user_id=login.user.id, api_key_id=_key_id(key_id))
    await deps.clients.auth.DeleteApiKey(request)


async def keys_page(deps: Deps, user_id: str, query: PageQuery) -> Page[Key]:
    """A page of a user's keys."""
    request = pb.ListApiKeysRequest(user_id=user_id, limit=query.limit, offset=query.offset)
    answer = await deps.clients.auth.ListApiKeys(request)
    items = await _with_spend(deps, answer.api_keys)
    return Page(items=items, total=answer.total, limit=query.limit, offset=query.offset)


async def _with_spend(deps: Deps, keys: Sequence[pb.ApiKey]) -> list[Key]:
    """Keys with what they have spent, which is left out where billing does not answer."""
    request = billing_pb2.BatchGetKeySpendRequest(api_key_ids=[key.id for key in keys])
    try:
        spends = (
            (await deps.clients.billing.BatchGetKeySpend(request, timeout=SPEND_TIMEOUT_S)).key_spends if keys else []
        )
    except RemoteError as error:
        log.warning("key_spend_not_asked", error=str(error))
        return [Key.of(key, spent_nanos=None) for key in keys]
    spent = {spend.api_key_id: spend.charged_nanos for spend in spends}
    return [Key.of(key, spent_nanos=spent.get(key.id, 0)) for key in keys]


def require_models(deps: Deps, names: list[str]) -> None:
    """Refuse names that the catalogue does not have: a typing mistake would lock everything out."""
    unknown = [name for name in names if name not in deps.catalogue.current().models] if names else []
    if unknown:
        raise EdgeError(
            "invalid_body", f"There is no model {unknown[0]!r}. GET /api/models lists them.", param="allowed_models"
        )


@contextmanager
def _expiry_named_as_here() -> Iterator[None]:
    """Whether an expiry has passed is auth's to say, under its own name of the field."""
    try:
        yield
    except RemoteError as error:
        if error.metadata.get("field") != "expire_time":
            raise
        raise EdgeError("invalid_body", "expires_at: must be in the future.", param="expires_at") from error


def _key_id(given: str) -> str:
    return identifier(given, code="api_key_not_found", what="API key")
