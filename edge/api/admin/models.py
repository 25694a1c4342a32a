"""What operators do about models: see all of them as they are configured, hidden ones too, add them, change them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Path as InPath
from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import BaseModel, ConfigDict, Field

from edge.api.admin.rates import NewPrices, PriceVersion, version_of
from edge.api.catalogue import whole
from edge.api.session import Administrator
from edge.api.wire import Body, JsonRoute, Line, Page, utc
from edge.deps import With
from edge.errors import EdgeError
from privaterouter.catalog.v1 import catalog_pb2 as pb

MOST_TOKENS = 10_000_000
MOST_OVERHEAD_TOKENS = 100_000
MOST_MS = 86_400_000

Kind = Literal["chat", "embedding"]
Status = Literal["active", "disabled"]
Sticky = Literal["prompt_prefix", "user"]

KINDS: dict[Kind, pb.ModelKind.ValueType] = {
    "chat": pb.MODEL_KIND_CHAT,
    "embedding": pb.MODEL_KIND_EMBEDDING,
}
STATUSES: dict[Status, pb.ModelStatus.ValueType] = {
    "active": pb.MODEL_STATUS_ACTIVE,
    "disabled": pb.MODEL_STATUS_DISABLED,
}
STICKINESS: dict[Sticky | None, pb.Sticky.ValueType] = {
    "prompt_prefix": pb.STICKY_PROMPT_PREFIX,
    "user": pb.STICKY_USER,
    None: pb.STICKY_UNSPECIFIED,
}
_KIND_NAMES = {number: name for name, number in KINDS.items()}
_STATUS_NAMES = {number: name for name, number in STATUSES.items()}
_STICKY_NAMES = {number: name for name, number in STICKINESS.items()}

Name = Annotated[Line, Field(min_length=1, max_length=100)]
UpstreamModel = Annotated[Line, Field(max_length=200)]
Overhead = Annotated[int, Field(ge=0, le=MOST_OVERHEAD_TOKENS)]
Timeout = Annotated[int, Field(ge=1, le=MOST_MS)]

router = APIRouter(prefix="/api/admin/models", tags=["Administration"], route_class=JsonRoute)


class Route(Body):
    """Where a model is served. Time limits are milliseconds; null: the default."""

    upstream_name: Annotated[Line, Field(min_length=1, max_length=63)]
    upstream_model: Annotated[UpstreamModel, Field(min_length=1, description="The model's name there.")]
    weight: int = Field(1, ge=1, le=1_000, description="Share of the requests among routes of the same position.")
    position: int = Field(0, ge=0, le=100, description="Higher ones are used when all lower ones are unhealthy.")
    connect_timeout_ms: Timeout | None = Field(None, description="To make a connection. Default: 5,000.")
    first_byte_timeout_ms: Timeout | None = Field(None, description="To the head of the answer. Default: 300,000.")
    idle_timeout_ms: Timeout | None = Field(None, description="Of silence in an answer. Default: 120,000.")
    total_timeout_ms: Timeout | None = Field(None, description="Of a whole request. Default: 3,600,000.")


Routes = Annotated[list[Route], Field(min_length=1, max_length=20)]


class ConfiguredModel(BaseModel):
    """An LLM with all of its configuration."""

    id: str
    public_name: str = Field(examples=["privaterouter/fast"])
    upstream_model: str = Field(description="The model behind it, for people to read.")
    family: str
    kind: Kind
    status: Status = Field(description="disabled: to callers it does not exist.")
    context_tokens: int
    max_output_tokens: int
    dimensions: int | None
    template_tokens: int
    tools_tokens: int
    image_tokens: int
    sticky: Sticky | None
    fallback_models: list[str]
    routes: list[Route]
    prices: PriceVersion
    created_at: datetime


class ModelChange(Body):
    """What to change of a model: only the fields that are sent. Lists are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "disabled", "reason": "no longer served"}]})

    upstream_model: UpstreamModel = Field("", description="The model behind it, for people to read.")
    family: Annotated[Line, Field(max_length=50)] = ""
    status: Status = "active"
    context_tokens: int = Field(8_192, ge=1, le=MOST_TOKENS, description="Of prompt and output together.")
    max_output_tokens: int = Field(0, ge=0, le=MOST_TOKENS, description="Of one answer; 0 for embeddings.")
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="Size of an embedding. Null: no embeddings, or not known."
    )
    template_tokens: Overhead = Field(0, description="What the chat template adds to a prompt at most.")
    tools_tokens: Overhead = Field(0, description="What tools and formats add beyond their own bytes at most.")
    image_tokens: Overhead = Field(0, description="What one image counts at most.")
    sticky: Sticky | None = Field(None, description="What keeps requests on the same route. Null: nothing.")
    fallback_models: list[Name] = Field(
        default_factory=list, max_length=5, description="Models that answer in its place, each at its own price."
    )
    routes: Routes = Field(default_factory=list)
    reason: Line = Field("", description="Why, for the audit log.")


class NewModel(ModelChange):
    """A model to add. Plans that allow all models allow it at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "public_name": "privaterouter/small",
                    "kind": "chat",
                    "context_tokens": 32768,
                    "routes": [{"upstream_name": "default", "upstream_model": "qwen3:0.6b"}],
                    "prices": {"input_usd_per_mtok": "0.02", "output_usd_per_mtok": "0.05"},
                }
            ]
        }
    )

    public_name: Name
    kind: Kind
    context_tokens: int = Field(ge=1, le=MOST_TOKENS, description="Of prompt and output together.")
    routes: Routes
    prices: NewPrices


@router.get("")
async def models(_: Administrator, deps: With) -> Page[ConfiguredModel]:
    """Every model by name, hidden ones too, with its whole configuration and its present price."""
    answer = await deps.clients.catalog.GetCatalog(pb.GetCatalogRequest())
    return whole([_model(model) for model in answer.models])


@router.post("", status_code=201)
async def add_model(admin: Administrator, body: NewModel, deps: With) -> ConfiguredModel:
    """Add a model with its price. What is not sent is as `privaterouter admin add-model` has it."""
    request = pb.CreateModelRequest(model=_new(body), actor_id=admin.user.id, reason=body.reason)
    answer = await deps.clients.catalog.CreateModel(request)
    await deps.catalogue.refresh()
    return _model(answer.model)


@router.patch("/{name:path}")
async def change_model(
    name: Annotated[Line, InPath()], admin: Administrator, body: ModelChange, deps: With
) -> ConfiguredModel:
    """Change a model, or hide it. Its price is changed by `POST /api/admin/prices`."""
    fields = body.model_fields_set - {"reason"}
    if not fields:
        raise EdgeError("invalid_body", "Send at least one field to change.")
    model = _message(body)
    model.public_name = name
    request = pb.UpdateModelRequest(
        model=model, update_mask=FieldMask(paths=sorted(fields)), actor_id=admin.user.id, reason=body.reason
    )
    answer = await deps.clients.catalog.UpdateModel(request)
    await deps.catalogue.refresh()
    return _model(answer.model)


def _new(body: NewModel) -> pb.Model:
    """The message of a model to add, with the defaults of its kind; the same as at the command line."""
    model = _message(body)
    model.public_name = body.public_name
    model.kind = KINDS[body.kind]
    model.price.CopyFrom(body.prices.price())
    # Upper bounds for what chat templates add, as for the models that come with the installation.
    defaults = (
        {"max_output_tokens": max(1, body.context_tokens // 2), "template_tokens": 128, "tools_tokens": 1024}
        | {"image_tokens": 1120}
        if body.kind == "chat"
        else {"template_tokens": 16}
    )
    for field in defaults.keys() - body.model_fields_set:
        setattr(model, field, defaults[field])
    if "upstream_model" not in body.model_fields_set:
        model.upstream_model = body.routes[0].upstream_model
    return model


def _message(body: ModelChange) -> pb.Model:
    return pb.Model(
        family=body.family,
        status=STATUSES[body.status],
        context_tokens=body.context_tokens,
        max_output_tokens=body.max_output_tokens,
        dimensions=body.dimensions or 0,
        template_tokens=body.template_tokens,
        tools_tokens=body.tools_tokens,
        image_tokens=body.image_tokens,
        upstream_model=body.upstream_model,
        fallback_models=body.fallback_models,
        sticky=STICKINESS[body.sticky],
        routes=[
            pb.Route(
                upstream_name=route.upstream_name,
                upstream_model=route.upstream_model,
                weight=route.weight,
                position=route.position,
                connect_timeout_ms=route.connect_timeout_ms or 0,
                first_byte_timeout_ms=route.first_byte_timeout_ms or 0,
                idle_timeout_ms=route.idle_timeout_ms or 0,
                total_timeout_ms=route.total_timeout_ms or 0,
            )
            for route in body.routes
        ],
    )


def _model(model: pb.Model) -> ConfiguredModel:
    return ConfiguredModel(
        id=model.id,
        public_name=model.public_name,
        upstream_model=model.upstream_model,
        family=model.family,
        kind=_KIND_NAMES[model.kind],
        status=_STATUS_NAMES[model.status],
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        dimensions=model.dimensions or None,
        template_tokens=model.template_tokens,
        tools_tokens=model.tools_tokens,
        image_tokens=model.image_tokens,
        sticky=_STICKY_NAMES[model.sticky],
        fallback_models=list(model.fallback_models),
        routes=[
            Route(
                upstream_name=route.upstream_name,
                upstream_model=route.upstream_model,
                weight=route.weight,
                position=route.position,
                connect_timeout_ms=route.connect_timeout_ms or None,
                first_byte_timeout_ms=route.first_byte_timeout_ms or None,
                idle_timeout_ms=route.idle_timeout_ms or None,
                total_timeout_ms=route.total_timeout_ms or None,
            )
            for route in model.routes
        ],
        prices=version_of(model.price),
        created_at=utc(model.create_time),
    )
