"""All SQL of the catalogue. Reads answer rows.py values; every write bumps the version by trigger."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from services.catalog.rows import Model, ModelKind, ModelStatus, Plan, Price, Route, Upstream, UpstreamKind

_MODELS = """
SELECT m.id, m.public_name, m.family, m.kind, m.status, m.context_tokens, m.max_output_tokens, m.dimensions,
       m.template_tokens, m.tools_tokens, m.image_tokens, m.upstream_model, m.create_time,
       p.id AS version_id, p.input_nanos_per_mtok, p.cached_input_nanos_per_mtok, p.output_nanos_per_mtok,
       p.effective_time,
       COALESCE(r.routes, '{}') AS routes
FROM catalog.models m
JOIN catalog.prices p ON p.id = m.price_id
LEFT JOIN LATERAL (
    SELECT array_agg((upstream_name, upstream_model, weight, position)
                     ORDER BY position, upstream_name, upstream_model) AS routes
    FROM catalog.routes WHERE model_id = m.id
) r ON true
"""
_PLANS = """
SELECT p.id, p.name, p.monthly_nanos, p.included_nanos, p.rpm, p.all_models, p.monthly_quota_tokens, p.position,
       ARRAY(SELECT m.public_name FROM catalog.plan_models pm JOIN catalog.models m ON m.id = pm.model_id
             WHERE pm.plan_id = p.id ORDER BY m.public_name) AS allowed_models
FROM catalog.plans p
"""
_UPSTREAMS = "SELECT name, kind, base_url, sealed_credential, virtual_keys FROM catalog.upstreams"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole catalogue at one version: models by name, plans by position, upstreams by name."""

    version: int
    models: tuple[Model, ...]
    plans: tuple[Plan, ...]
    upstreams: tuple[Upstream, ...]


async def version(connection: Connection) -> int:
    """The catalogue's version."""
    found: int = await connection.fetchval("SELECT version FROM catalog.state")
    return found


async def locked_version(connection: Connection) -> int:
    """The version, with all other changes of the catalogue kept out until the transaction ends."""
    found: int = await connection.fetchval("SELECT version FROM catalog.state FOR UPDATE")
    return found


async def snapshot(connection: Connection) -> Snapshot:
    """Everything; consistent where the transaction sees one snapshot."""
    return Snapshot(
        version=await version(connection),
        models=tuple(_model(row) for row in await connection.fetch(f"{_MODELS} ORDER BY m.public_name")),
        plans=tuple(_plan(row) for row in await connection.fetch(f"{_PLANS} ORDER BY p.position, p.id")),
        upstreams=tuple(_upstream(row) for row in await connection.fetch(f"{_UPSTREAMS} ORDER BY name")),
    )


async def model(connection: Connection, public_name: str) -> Model | None:
    """The model of that name."""
    row = await connection.fetchrow(f"{_MODELS} WHERE m.public_name = $1", public_name)
    return None if row is None else _model(row)


async def insert_model(connection: Connection, new: Model) -> bool:
    """Whether the model was stored; False where its name is taken. Its price must follow in the same transaction."""
    stored = await connection.fetchval(
        """
        INSERT INTO catalog.models (id, public_name, family, kind, status, context_tokens, max_output_tokens,
            dimensions, template_tokens, tools_tokens, image_tokens, upstream_model, price_id, create_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (public_name) DO NOTHING RETURNING true
        """,
        new.id,
        new.public_name,
        new.family,
        new.kind,
        new.status,
        new.context_tokens,
        new.max_output_tokens,
        new.dimensions,
        new.template_tokens,
        new.tools_tokens,
        new.image_tokens,
        new.upstream_model,
        new.price.version_id,
        new.create_time,
    )
    return bool(stored)


async def update_model(connection: Connection, new: Model) -> None:
    """Store all that may change of a model, but for price and routes."""
    await connection.execute(
        """
        UPDATE catalog.models SET family = $2, status = $3, context_tokens = $4, max_output_tokens = $5,
            dimensions = $6, template_tokens = $7, tools_tokens = $8, image_tokens = $9, upstream_model = $10
        WHERE id = $1
        """,
        new.id,
        new.family,
        new.status,
        new.context_tokens,
        new.max_output_tokens,
        new.dimensions,
        new.template_tokens,
        new.tools_tokens,
        new.image_tokens,
        new.upstream_model,
    )


async def insert_price(connection: Connection, model_id: UUID, *, price: Price) -> None:
    """Store a price version."""
    await connection.execute(
        """
        INSERT INTO catalog.prices (id, model_id, input_nanos_per_mtok, cached_input_nanos_per_mtok,
            output_nanos_per_mtok, effective_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        price.version_id,
        model_id,
        price.input_nanos_per_mtok,
        price.cached_input_nanos_per_mtok,
        price.output_nanos_per_mtok,
        price.effective_time,
    )


async def prices(connection: Connection, model_id: UUID, *, limit: int) -> list[Price]:
    """A model's price versions, newest first."""
    rows = await connection.fetch(
        """
        SELECT id, input_nanos_per_mtok, cached_input_nanos_per_mtok, output_nanos_per_mtok, effective_time
        FROM catalog.prices WHERE model_id = $1 ORDER BY effective_time DESC, id DESC LIMIT $2
        """,
        model_id,
        limit,
    )
    return [
        Price(
            version_id=row["id"],
            input_nanos_per_mtok=row["input_nanos_per_mtok"],
            cached_input_nanos_per_mtok=row["cached_input_nanos_per_mtok"],
            output_nanos_per_mtok=row["output_nanos_per_mtok"],
            effective_time=row["effective_time"],
        )
        for row in rows
    ]


async def point_to_price(connection: Connection, model_id: UUID, *, version_id: UUID) -> None:
    """Make a stored price version the model's current one."""
    await connection.execute("UPDATE catalog.models SET price_id = $2 WHERE id = $1", model_id, version_id)


async def insert_routes(connection: Connection, of: Model) -> None:
    """Store the model's routes."""
    await connection.execute(
        """
        INSERT INTO catalog.routes (model_id, upstream_name, upstream_model, weight, position)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::int[])
        """,
        of.id,
        [route.upstream_name for route in of.routes],
        [route.upstream_model for route in of.routes],
        [route.weight for route in of.routes],
        [route.position for route in of.routes],
    )


async def delete_routes(connection: Connection, model_id: UUID) -> None:
    """Delete the model's routes."""
    await connection.execute("DELETE FROM catalog.routes WHERE model_id = $1", model_id)


async def plan(connection: Connection, plan_id: str) -> Plan | None:
    """The plan with that id."""
    row = await connection.fetchrow(f"{_PLANS} WHERE p.id = $1", plan_id)
    return None if row is None else _plan(row)


async def insert_plan(connection: Connection, new: Plan) -> None:
    """Store a plan, without its models."""
    await connection.execute(
        """
        INSERT INTO catalog.plans (id, name, monthly_nanos, included_nanos, rpm, all_models, monthly_quota_tokens,
            position)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        *_plan_values(new),
    )


async def update_plan(connection: Connection, new: Plan) -> None:
    """Store a plan's new values, without its models."""
    await connection.execute(
        """
        UPDATE catalog.plans SET name = $2, monthly_nanos = $3, included_nanos = $4, rpm = $5, all_models = $6,
            monthly_quota_tokens = $7, position = $8
        WHERE id = $1
        """,
        *_plan_values(new),
    )


async def insert_plan_models(connection: Connection, of: Plan) -> set[str]:
    """Store which models a plan allows; answers the names that exist."""
    rows = await connection.fetch(
        """
        WITH named AS (SELECT id, public_name FROM catalog.models WHERE public_name = ANY($2::text[])),
             stored AS (INSERT INTO catalog.plan_models (plan_id, model_id) SELECT $1, id FROM named)
        SELECT public_name FROM named
        """,
        of.id,
        of.allowed_models,
    )
    return {row["public_name"] for row in rows}


async def delete_plan_models(connection: Connection, plan_id: str) -> None:
    """Delete the list of models that a plan allows."""
    await connection.execute("DELETE FROM catalog.plan_models WHERE plan_id = $1", plan_id)


async def upstream(connection: Connection, name: str) -> Upstream | None:
    """The upstream of that name."""
    row = await connection.fetchrow(f"{_UPSTREAMS} WHERE name = $1", name)
    return None if row is None else _upstream(row)


async def upstream_names(connection: Connection) -> set[str]:
    """The names of all upstreams."""
    return {row["name"] for row in await connection.fetch("SELECT name FROM catalog.upstreams")}


async def upsert_upstream(connection: Connection, new: Upstream) -> None:
    """Store an upstream, in place of the one of its name."""
    await connection.execute(
        """
        INSERT INTO catalog.upstreams (name, kind, base_url, sealed_credential, virtual_keys)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url,
            sealed_credential = excluded.sealed_credential, virtual_keys = excluded.virtual_keys
        """,
        new.name,
        new.kind,
        new.base_url,
        new.sealed_credential,
        new.virtual_keys,
    )


async def delete_unrouted_upstreams(connection: Connection, names: list[str]) -> None:
    """Delete those of the named upstreams that no route leads to."""
    unrouted = await connection.fetch(
        """
        SELECT name FROM catalog.upstreams u WHERE name = ANY($1::text[])
        AND NOT EXISTS (SELECT FROM catalog.routes r WHERE r.upstream_name = u.name)
        """,
        names,
    )
    if unrouted:
        await connection.execute(
            "DELETE FROM catalog.upstreams WHERE name = ANY($1::text[])", [row["name"] for row in unrouted]
        )


async def seeded_values(connection: Connection, item: str) -> dict[str, str] | None:
    """What the seed last gave to each field of an item, as text; None where it never seeded it."""
    rows = await connection.fetch("SELECT field, value FROM catalog.seeded WHERE item = $1", item)
    return {row["field"]: row["value"] for row in rows} or None


async def note_seeded_values(connection: Connection, item: str, *, values: Mapping[str, str]) -> None:
    """Note what the seed gave to fields of an item."""
    await connection.execute(
        """
        INSERT INTO catalog.seeded (item, field, value) SELECT $1, * FROM unnest($2::text[], $3::text[])
        ON CONFLICT (item, field) DO UPDATE SET value = excluded.value
        """,
        item,
        list(values),
        list(values.values()),
    )


def _model(row: Record) -> Model:
    return Model(
        id=row["id"],
        public_name=row["public_name"],
        family=row["family"],
        kind=ModelKind(row["kind"]),
        status=ModelStatus(row["status"]),
        context_tokens=row["context_tokens"],
        max_output_tokens=row["max_output_tokens"],
        dimensions=row["dimensions"],
        template_tokens=row["template_tokens"],
        tools_tokens=row["tools_tokens"],
        image_tokens=row["image_tokens"],
        upstream_model=row["upstream_model"],
        create_time=row["create_time"],
        price=Price(
            version_id=row["version_id"],
            input_nanos_per_mtok=row["input_nanos_per_mtok"],
            cached_input_nanos_per_mtok=row["cached_input_nanos_per_mtok"],
            output_nanos_per_mtok=row["output_nanos_per_mtok"],
            effective_time=row["effective_time"],
        ),
        routes=tuple(
            Route(upstream_name=name, upstream_model=served, weight=weight, position=position)
            for name, served, weight, position in row["routes"]
        ),
    )


def _plan(row: Record) -> Plan:
    return Plan(
        id=row["id"],
        name=row["name"],
        monthly_nanos=row["monthly_nanos"],
        included_nanos=row["included_nanos"],
        rpm=row["rpm"],
        all_models=row["all_models"],
        allowed_models=tuple(row["allowed_models"]),
        monthly_quota_tokens=row["monthly_quota_tokens"],
        position=row["position"],
    )


def _plan_values(of: Plan) -> tuple[object, ...]:
    return (
        of.id,
        of.name,
        of.monthly_nanos,
        of.included_nanos,
        of.rpm,
        of.all_models,
        of.monthly_quota_tokens,
        of.position,
    )


def _upstream(row: Record) -> Upstream:
    return Upstream(
        name=row["name"],
        kind=UpstreamKind(row["kind"]),
        base_url=row["base_url"],
        sealed_credential=row["sealed_credential"],
        virtual_keys=row["virtual_keys"],
    )
