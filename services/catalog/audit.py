"""What the audit log says of a change to the catalogue; the seed's changes are not in it."""

from kit import audit_log
from kit.audit_log import Act, Change
from kit.database import Connection
from services.catalog import models, plans
from services.catalog.prices import RATES
from services.catalog.rows import Model, Plan, Route
from services.catalog.upstreams import OpenUpstream

SCHEMA = "catalog"


async def note_model(connection: Connection, act: Act, action: str, *, old: Model | None, new: Model) -> None:
    """An event about a model, where it is another one than it was."""
    details = audit_log.changes(_model(old) if old else {}, _model(new))
    await _note(connection, act, f"model.{action}", subject_id=new.public_name, details=details)


async def note_plan(connection: Connection, act: Act, *, old: Plan, new: Plan) -> None:
    """An event about a plan, where it is another one than it was."""
    fields = sorted(plans.CHANGEABLE)
    details = audit_log.changes(*({field: getattr(plan, field) for field in fields} for plan in (old, new)))
    await _note(connection, act, "plan.updated", subject_id=new.id, details=details)


async def note_upstream(connection: Connection, act: Act, *, old: OpenUpstream | None, new: OpenUpstream) -> None:
    """An event about an upstream, where it is another one than it was; its credential is not shown."""
    details = audit_log.changes(_upstream(old) if old else {}, _upstream(new))
    before = old.credential if old else ""
    if new.credential != before:
        details["credential"] = Change(
            "hidden" if before else None, ("hidden, another one" if before else "hidden") if new.credential else None
        )
    action = "upstream.updated" if old else "upstream.created"
    await _note(connection, act, action, subject_id=new.name, details=details)


async def _note(connection: Connection, act: Act, action: str, *, subject_id: str, details: dict[str, Change]) -> None:
    if details:
        kind, _, _ = action.partition(".")
        await audit_log.write(
            connection, SCHEMA, act, action=action, subject_kind=kind, subject_id=subject_id, details=details
        )


def _model(model: Model) -> dict[str, object]:
    return {
        "kind": model.kind,
        **{field: getattr(model, field) for field in sorted(models.CHANGEABLE)},
        "routes": [_route(route) for route in model.routes],
        **{field: getattr(model.price, field) for field in RATES},
    }


def _route(route: Route) -> str:
    """Such as `(default: gemma4:latest, weight 2, position 0)`; time limits follow where they are set."""
    said = [f"{route.upstream_name}: {route.upstream_model}", f"weight {route.weight}", f"position {route.position}"]
    limits = ("connect_timeout_ms", "first_byte_timeout_ms", "idle_timeout_ms", "total_timeout_ms")
    said += [f"{field} {limit_ms}" for field in limits if (limit_ms := getattr(route, field))]
    return f"({', '.join(said)})"


def _upstream(upstream: OpenUpstream) -> dict[str, object]:
    fields = ("kind", "base_url", "virtual_keys", "max_in_flight", "max_queued", "dialects")
    return {field: getattr(upstream, field) for field in fields}
