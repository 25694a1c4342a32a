"""Rules of plans: what a sound one looks like, adding one, changing one."""

from kit.database import Connection
from services.catalog import checks, store_plans
from services.catalog.errors import InvalidValue, ModelNotFound, PlanNotFound
from services.catalog.rows import Plan

CHANGEABLE = frozenset(
    {
        "name",
        "monthly_nanos",
        "included_nanos",
        "rpm",
        "all_models",
        "allowed_models",
        "monthly_quota_tokens",
        "tpm",
        "max_in_flight",
    }
)
"""Fields that an update may name."""

MAX_NANOS = 1_000_000 * 1_000_000_000
MAX_RPM = 1_000_000
MAX_TPM = 10**12
MAX_IN_FLIGHT = 1_000_000
MAX_QUOTA_TOKENS = 10**15
MAX_MODELS = 1_000


def check(plan: Plan) -> None:
    """InvalidValue for a value that makes no sense."""
    checks.text("id", plan.id, most=63, form=checks.SLUG)
    checks.text("name", plan.name, most=100)
    checks.number("monthly_nanos", plan.monthly_nanos, least=0, most=MAX_NANOS)
    checks.number("included_nanos", plan.included_nanos, least=0, most=MAX_NANOS)
    checks.number("rpm", plan.rpm, least=1, most=MAX_RPM)
    checks.number("position", plan.position, least=0, most=1_000)
    if plan.monthly_quota_tokens is not None:
        checks.number("monthly_quota_tokens", plan.monthly_quota_tokens, least=1, most=MAX_QUOTA_TOKENS)
    if plan.tpm is not None:
        checks.number("tpm", plan.tpm, least=1, most=MAX_TPM)
    if plan.max_in_flight is not None:
        checks.number("max_in_flight", plan.max_in_flight, least=1, most=MAX_IN_FLIGHT)
    if plan.all_models and plan.allowed_models:
        raise InvalidValue("a plan that allows all models lists none", field="allowed_models")
    if len(plan.allowed_models) > MAX_MODELS:
        raise InvalidValue(f"a plan lists at most {MAX_MODELS} models", field="allowed_models")


async def get(connection: Connection, plan_id: str) -> Plan:
    """The plan with that id, or PlanNotFound."""
    plan = await store_plans.plan(connection, plan_id)
    if plan is None:
        raise PlanNotFound(f"there is no plan {plan_id!r}")
    return plan


async def create(connection: Connection, plan: Plan) -> None:
    """Store a new plan. ModelNotFound for a model in its list that does not exist, and what `check` raises."""
    check(plan)
    await store_plans.insert_plan(connection, plan)
    await _allow(connection, plan)


async def change(connection: Connection, old: Plan, *, new: Plan) -> Plan:
    """Store `new` in place of `old`. Errors as `create`."""
    check(new)
    if new == old:
        return old
    await store_plans.update_plan(connection, new)
    if new.allowed_models != old.allowed_models:
        await store_plans.delete_plan_models(connection, new.id)
        await _allow(connection, new)
    return new


async def _allow(connection: Connection, plan: Plan) -> None:
    stored = await store_plans.insert_plan_models(connection, plan)
    missing = set(plan.allowed_models) - stored
    if missing:
        raise ModelNotFound(f"there is no model {min(missing)!r}", field="allowed_models")
