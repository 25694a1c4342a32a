"""Rules of models: what a sound one looks like, adding one, changing one."""

from kit.database import Connection
from services.catalog import checks, store_models, store_upstreams
from services.catalog.errors import InvalidValue, ModelExists, ModelNotFound, UpstreamNotFound
from services.catalog.prices import rates_of
from services.catalog.rows import Model, ModelKind, Route

CHANGEABLE = frozenset(
    {
        "family",
        "status",
        "context_tokens",
        "max_output_tokens",
        "dimensions",
        "template_tokens",
        "tools_tokens",
        "image_tokens",
        "routes",
        "upstream_model",
        "fallback_models",
        "sticky",
    }
)
"""Fields that an update may name."""

MAX_TOKENS = 10_000_000
MAX_OVERHEAD_TOKENS = 100_000
MAX_DIMENSIONS = 100_000
MAX_ROUTES = 20
MAX_WEIGHT = 1_000
MAX_POSITION = 100
MAX_TIMEOUT_MS = 86_400_000
MAX_FALLBACKS = 5


def check(model: Model) -> None:
    """InvalidValue, or InvalidPrice, for a value that makes no sense."""
    checks.text("public_name", model.public_name, most=100, form=checks.PUBLIC_NAME)
    checks.text("family", model.family, most=50, least=0)
    checks.text("upstream_model", model.upstream_model, most=200, least=0)
    checks.number("context_tokens", model.context_tokens, least=1, most=MAX_TOKENS)
    if model.kind is ModelKind.CHAT:
        checks.number("max_output_tokens", model.max_output_tokens, least=1, most=model.context_tokens)
        checks.number("dimensions", model.dimensions, least=0, most=0)
    else:
        checks.number("max_output_tokens", model.max_output_tokens, least=0, most=0)
        checks.number("dimensions", model.dimensions, least=0, most=MAX_DIMENSIONS)
    for field in ("template_tokens", "tools_tokens", "image_tokens"):
        checks.number(field, getattr(model, field), least=0, most=MAX_OVERHEAD_TOKENS)
    rates_of(model.price).check()
    _check_routes(model.routes)
    _check_fallbacks(model)


def _check_routes(routes: tuple[Route, ...]) -> None:
    if len(routes) > MAX_ROUTES:
        raise InvalidValue(f"a model has at most {MAX_ROUTES} routes", field="routes")
    for route in routes:
        checks.text("routes.upstream_name", route.upstream_name, most=63, form=checks.SLUG)
        checks.text("routes.upstream_model", route.upstream_model, most=200)
        checks.number("routes.weight", route.weight, least=1, most=MAX_WEIGHT)
        checks.number("routes.position", route.position, least=0, most=MAX_POSITION)
        for field in ("connect_timeout_ms", "first_byte_timeout_ms", "idle_timeout_ms", "total_timeout_ms"):
            checks.number(f"routes.{field}", getattr(route, field), least=0, most=MAX_TIMEOUT_MS)
    if len({(route.upstream_name, route.upstream_model) for route in routes}) < len(routes):
        raise InvalidValue("two routes lead to the same model of the same upstream", field="routes")


def _check_fallbacks(model: Model) -> None:
    names = model.fallback_models
    if len(names) > MAX_FALLBACKS:
        raise InvalidValue(f"a model has at most {MAX_FALLBACKS} fallback models", field="fallback_models")
    if model.public_name in names or len(set(names)) < len(names):
        raise InvalidValue("fallback models are other models, each named once", field="fallback_models")


async def get(connection: Connection, public_name: str) -> Model:
    """The model of that name, or ModelNotFound."""
    model = await store_models.model(connection, public_name)
    if model is None:
        raise ModelNotFound(f"there is no model {public_name!r}")
    return model


async def create(connection: Connection, model: Model) -> Model:
    """Store a new model with its price, routes and fallback models.

    ModelExists, UpstreamNotFound, ModelNotFound for a fallback model, and what `check` raises.
    """
    check(model)
    await _require_upstreams(connection, model)
    await _require_fallbacks(connection, model)
    if not await store_models.insert_model(connection, model):
        raise ModelExists(f"there is a model {model.public_name!r} already")
    await store_models.insert_price(connection, model.id, price=model.price)
    await store_models.insert_routes(connection, model)
    await store_models.insert_fallbacks(connection, model)
    return model


async def change(connection: Connection, old: Model, *, new: Model) -> Model:
    """Store `new` in place of `old`, all but the price. Errors as `create`, but for ModelExists."""
    check(new)
    if new == old:
        return old
    await _require_upstreams(connection, new)
    await _require_fallbacks(connection, new)
    await store_models.update_model(connection, new)
    if new.routes != old.routes:
        await store_models.delete_routes(connection, new.id)
        await store_models.insert_routes(connection, new)
    if new.fallback_models != old.fallback_models:
        await store_models.delete_fallbacks(connection, new.id)
        await store_models.insert_fallbacks(connection, new)
    return new


async def _require_upstreams(connection: Connection, model: Model) -> None:
    names = {route.upstream_name for route in model.routes}
    missing = names - await store_upstreams.upstream_names(connection)
    if missing:
        raise UpstreamNotFound(f"there is no upstream {min(missing)!r}", field="routes.upstream_name")


async def _require_fallbacks(connection: Connection, model: Model) -> None:
    kinds = await store_models.kinds(connection, model.fallback_models)
    for name in model.fallback_models:
        if name not in kinds:
            raise ModelNotFound(f"there is no model {name!r}", field="fallback_models")
        if kinds[name] is not model.kind:
            raise InvalidValue(f"{name} is no {model.kind} model and cannot answer for one", field="fallback_models")
