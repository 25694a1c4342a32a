"""What is for sale: models with prices, and plans. Public."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from edge.api.wire import Item, Page
from edge.deps import With
from edge.lookup import catalogue as lookup
from kit.money import format_price, format_usd

router = APIRouter(prefix="/api", tags=["Catalogue"])


class Model(BaseModel):
    """An LLM with what it costs, in US dollars per million tokens."""

    public_name: str = Field(examples=["privaterouter/fast"])
    upstream_model: str = Field(examples=["gemma4:latest"])
    family: str
    kind: Literal["chat", "embedding"]
    context_tokens: int
    max_output_tokens: int
    dimensions: int | None = Field(description="Size of an embedding. Null: no embeddings, or not known.")
    input_usd_per_mtok: str = Field(examples=["0.100000"])
    cached_input_usd_per_mtok: str = Field(
        examples=["0.100000"], description="Of prompt tokens that the model's server had in its cache."
    )
    cache_write_input_usd_per_mtok: str = Field(
        examples=["0.100000"], description="Of prompt tokens that it wrote into its cache."
    )
    output_usd_per_mtok: str = Field(examples=["0.300000"])


class Plan(BaseModel):
    """What an account may use, and how much of it."""

    id: str
    name: str
    monthly_usd: str
    included_credits_usd: str
    rpm: int = Field(description="Inference calls a minute, over all keys of the account.")
    tpm: int | None = Field(description="Tokens a minute, over all keys of the account. Null: no such limit.")
    max_in_flight: int | None = Field(
        description="Inference calls at the same time, over all keys of the account. Null: no such limit."
    )
    all_models: bool
    allowed_models: list[str]
    monthly_quota_tokens: int | None


@router.get("/models")
async def models(deps: With) -> Page[Model]:
    """Every model that is offered, by name."""
    found = sorted(deps.catalogue.current().models.values(), key=lambda model: model.public_name)
    return whole([_model(model) for model in found])


@router.get("/plans")
async def plans(deps: With) -> Page[Plan]:
    """Every plan."""
    snapshot = deps.catalogue.current()
    found = sorted(snapshot.plans.values(), key=lambda plan: plan.position)
    return whole([_plan(plan, snapshot) for plan in found])


def whole(items: list[Item]) -> Page[Item]:
    """A list that is never paged."""
    return Page(items=items, total=len(items), limit=len(items), offset=0)


def _model(model: lookup.Model) -> Model:
    return Model(
        public_name=model.public_name,
        upstream_model=model.upstream_model,
        family=model.family,
        kind="embedding" if model.kind == "embedding" else "chat",
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        dimensions=model.dimensions or None,
        input_usd_per_mtok=format_price(model.price.input_nanos_per_mtok),
        cached_input_usd_per_mtok=format_price(model.price.cached_input_nanos_per_mtok),
        cache_write_input_usd_per_mtok=format_price(model.price.cache_write_input_nanos_per_mtok),
        output_usd_per_mtok=format_price(model.price.output_nanos_per_mtok),
    )


def _plan(plan: lookup.Plan, snapshot: lookup.Snapshot) -> Plan:
    return Plan(
        id=plan.id,
        name=plan.name,
        monthly_usd=format_usd(plan.monthly_nanos),
        included_credits_usd=format_usd(plan.included_nanos),
        rpm=plan.rpm,
        tpm=plan.tpm,
        max_in_flight=plan.max_in_flight,
        all_models=plan.all_models,
        allowed_models=sorted(name for name in snapshot.models if plan.allows(name)),
        monthly_quota_tokens=plan.monthly_quota_tokens,
    )
