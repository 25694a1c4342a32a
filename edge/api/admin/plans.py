"""What operators do about plans: see them as they are configured, change them."""

from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from google.protobuf.field_mask_pb2 import FieldMask
from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edge.api.catalogue import Plan, whole
from edge.api.session import Administrator
from edge.api.wire import AMOUNT_ERROR, Body, JsonRoute, Line, Page, Usd
from edge.deps import With
from edge.errors import EdgeError
from kit.money import NANOS_PER_USD, format_usd
from privaterouter.catalog.v1 import catalog_pb2 as pb

MAX_USD = 1_000_000
"""The most that the catalogue takes as a plan's price or credit."""

FIELDS = {"monthly_usd": "monthly_nanos", "included_credits_usd": "included_nanos"}
"""Names in the contract, where they differ."""

router = APIRouter(prefix="/api/admin/plans", tags=["Administration"], route_class=JsonRoute)


def _in_range(nanos: int) -> int:
    if not 0 <= nanos <= MAX_USD * NANOS_PER_USD:
        raise PydanticCustomError(AMOUNT_ERROR, f"must be between 0 and {MAX_USD} dollars")
    return nanos


Amount = Annotated[Usd, AfterValidator(_in_range)]


class PlanSettings(Body):
    """What to change of a plan: only the fields that are sent; null takes a limit away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rpm": 60, "tpm": 40000, "reason": "more machines"}]})

    name: Annotated[Line, Field(min_length=1, max_length=100)] = ""
    monthly_usd: Amount = 0
    included_credits_usd: Amount = Field(0, description="Granted once a month, from the next time on.")
    rpm: int = Field(1, ge=1, le=1_000_000, description="Inference calls a minute, over all keys of an account.")
    tpm: Annotated[int, Field(ge=1, le=10**12)] | None = Field(None, description="Tokens a minute, over all keys.")
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Inference calls at the same time, over all keys."
    )
    all_models: bool = Field(default=False, description="Whether it allows every model, also those added later.")
    allowed_models: list[Annotated[Line, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=1_000, description="The models that it allows, unless it allows all."
    )
    monthly_quota_tokens: Annotated[int, Field(ge=1, le=10**15)] | None = Field(None, description="Tokens a month.")
    reason: Line = Field("", description="Why, for the audit log.")


@router.get("")
async def plans(_: Administrator, deps: With) -> Page[Plan]:
    """Every plan. `allowed_models` are those on its list, hidden ones too; none where it allows all."""
    answer = await deps.clients.catalog.GetCatalog(pb.GetCatalogRequest())
    return whole([_plan(plan) for plan in answer.plans])


@router.patch("/{name}")
async def change_plan(name: Annotated[Line, InPath()], admin: Administrator, body: PlanSettings, deps: With) -> Plan:
    """Change a plan, named by its id. It holds for all accounts on it at once; credit that was granted stays."""
    fields = body.model_fields_set - {"reason"}
    if not fields:
        raise EdgeError("invalid_body", "Send at least one field to change.")
    if body.all_models:
        fields |= {"allowed_models"}  # What allows all has no list.
    plan = pb.Plan(
        id=name,
        name=body.name,
        monthly_nanos=body.monthly_usd,
        included_nanos=body.included_credits_usd,
        rpm=body.rpm,
        tpm=body.tpm,
        max_in_flight=body.max_in_flight,
        all_models=body.all_models,
        allowed_models=body.allowed_models,
        monthly_quota_tokens=body.monthly_quota_tokens,
    )
    mask = FieldMask(paths=sorted(FIELDS.get(field, field) for field in fields))
    request = pb.UpdatePlanRequest(plan=plan, update_mask=mask, actor_id=admin.user.id, reason=body.reason)
    answer = await deps.clients.catalog.UpdatePlan(request)
    await deps.catalogue.refresh()
    return _plan(answer.plan)


def _plan(plan: pb.Plan) -> Plan:
    return Plan(
        id=plan.id,
        name=plan.name,
        monthly_usd=format_usd(plan.monthly_nanos),
        included_credits_usd=format_usd(plan.included_nanos),
        rpm=plan.rpm,
        tpm=plan.tpm if plan.HasField("tpm") else None,
        max_in_flight=plan.max_in_flight if plan.HasField("max_in_flight") else None,
        all_models=plan.all_models,
        allowed_models=list(plan.allowed_models),
        monthly_quota_tokens=plan.monthly_quota_tokens if plan.HasField("monthly_quota_tokens") else None,
    )
