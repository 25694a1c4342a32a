"""SQL of models, with their prices, routes and fallback models."""

from collections.abc import Collection
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from services.catalog.rows import Model, ModelKind, ModelStatus, Price, Route, Sticky

_ROUTE = (
    "upstream_name",
    "upstream_model",
    "weight",
    "position",
    "connect_timeout_ms",
    "first_byte_timeout_ms",
    "idle_timeout_ms",
    "total_timeout_ms",
)
_MODELS = f"""
SELECT m.id, m.public_name, m.family, m.kind, m.status, m.context_tokens, m.max_output_tokens, m.dimensions,
       m.template_tokens, m.tools_tokens, m.image_tokens, m.upstream_model, m.create_time,
       p.id AS version_id, p.input_nanos_per_mtok, p.cached_input_nanos_per_mtok, p.output_nanos_per_mtok,
       p.cache_write_input_nanos_per_mtok, p.effective_time, m.sticky,
       COALESCE(r.routes, '{{}}') AS routes,
       ARRAY(SELECT f.public_name FROM catalog.fallback_models fm JOIN catalog.models f ON f.id = fm.fallback_id
             WHERE fm.model_id = m.id ORDER BY fm.position) AS fallback_models
FROM catalog.models m
JOIN catalog.prices p ON p.id = m.price_id
LEFT JOIN LATERAL (
    SELECT array_agg(({", ".join(_ROUTE)}) ORDER BY position, upstream_name, upstream_model) AS routes
    FROM catalog.routes WHERE model_id = m.id
) r ON true
"""


async def models(connection: Connection) -> tuple[Model, ...]:
    """All models, by name."""
    return tuple(_model(row) for row in await connection.fetch(f"{_MODELS} ORDER BY m.public_name"))


async def kinds(connection: Connection, public_names: Collection[str]) -> dict[str, ModelKind]:
    """What those of the named models do that exist."""
    rows = await connection.fetch(
        "SELECT public_name, kind FROM catalog.models WHERE public_name = ANY($1::text[])", list(public_names)
    )
    return {row["public_name"]: ModelKind(row["kind"]) for row in rows}


async def model(connection: Connection, public_name: str) -> Model | None:
    """The model of that name."""
    row = await connection.fetchrow(f"{_MODELS} WHERE m.public_name = $1", public_name)
    return None if row is None else _model(row)


async def insert_model(connection: Connection, new: Model) -> bool:
    """Whether the model was stored; False where its name is taken. Its price must follow in the same transaction."""
    stored = await connection.fetchval(
        """
        INSERT INTO catalog.models (id, public_name, family, kind, status, context_tokens, max_output_tokens,
            dimensions, template_tokens, tools_tokens, image_tokens, upstream_model, price_id, create_time,
            sticky)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
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
        new.sticky,
    )
    return bool(stored)


async def update_model(connection: Connection, new: Model) -> None:
    """Store all that may change of a model, but for price, routes and fallback models."""
    await connection.execute(
        """
        UPDATE catalog.models SET family = $2, status = $3, context_tokens = $4, max_output_tokens = $5,
            dimensions = $6, template_tokens = $7, tools_tokens = $8, image_tokens = $9, upstream_model = $10,
            sticky = $11
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
        new.sticky,
    )


async def insert_price(connection: Connection, model_id: UUID, *, price: Price) -> None:
    """Store a price version."""
    await connection.execute(
        """
        INSERT INTO catalog.prices (id, model_id, input_nanos_per_mtok, cached_input_nanos_per_mtok,
            output_nanos_per_mtok, effective_time, cache_write_input_nanos_per_mtok)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        price.version_id,
        model_id,
        price.input_nanos_per_mtok,
        price.cached_input_nanos_per_mtok,
        price.output_nanos_per_mtok,
        price.effective_time,
        price.cache_write_input_nanos_per_mtok,
    )


async def prices(connection: Connection, model_id: UUID, *, limit: int) -> list[Price]:
    """A model's price versions, newest first."""
    rows = await connection.fetch(
        """
        SELECT id AS version_id, input_nanos_per_mtok, cached_input_nanos_per_mtok, cache_write_input_nanos_per_mtok,
            output_nanos_per_mtok, effective_time
        FROM catalog.prices WHERE model_id = $1 ORDER BY effective_time DESC, id DESC LIMIT $2
        """,
        model_id,
        limit,
    )
    return [_price(row) for row in rows]


async def point_to_price(connection: Connection, model_id: UUID, *, version_id: UUID) -> None:
    """Make a stored price version the model's current one."""
    await connection.execute("UPDATE catalog.models SET price_id = $2 WHERE id = $1", model_id, version_id)


async def insert_routes(connection: Connection, of: Model) -> None:
    """Store the model's routes."""
    await connection.execute(
        """
        INSERT INTO catalog.routes (model_id, upstream_name, upstream_model, weight, position, connect_timeout_ms,
            first_byte_timeout_ms, idle_timeout_ms, total_timeout_ms)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
            $9::int[])
        """,
        of.id,
        [route.upstream_name for route in of.routes],
        [route.upstream_model for route in of.routes],
        [route.weight for route in of.routes],
        [route.position for route in of.routes],
        [route.connect_timeout_ms for route in of.routes],
        [route.first_byte_timeout_ms for route in of.routes],
        [route.idle_timeout_ms for route in of.routes],
        [route.total_timeout_ms for route in of.routes],
    )


async def delete_routes(connection: Connection, model_id: UUID) -> None:
    """Delete the model's routes."""
    await connection.execute("DELETE FROM catalog.routes WHERE model_id = $1", model_id)


async def insert_fallbacks(connection: Connection, of: Model) -> None:
    """Store which models answer in the place of one, in their order; all of them must exist."""
    if of.fallback_models:
        await connection.execute(
            """
            INSERT INTO catalog.fallback_models (model_id, position, fallback_id)
            SELECT $1, named.position, m.id
            FROM unnest($2::text[]) WITH ORDINALITY AS named (public_name, position)
            JOIN catalog.models m USING (public_name)
            """,
            of.id,
            list(of.fallback_models),
        )


async def delete_fallbacks(connection: Connection, model_id: UUID) -> None:
    """Delete the list of models that answer in the place of one."""
    await connection.execute("DELETE FROM catalog.fallback_models WHERE model_id = $1", model_id)


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
        price=_price(row),
        routes=tuple(Route(**dict(zip(_ROUTE, values, strict=True))) for values in row["routes"]),
        fallback_models=tuple(row["fallback_models"]),
        sticky=Sticky(row["sticky"]),
    )


def _price(row: Record) -> Price:
    return Price(
        version_id=row["version_id"],
        input_nanos_per_mtok=row["input_nanos_per_mtok"],
        cached_input_nanos_per_mtok=row["cached_input_nanos_per_mtok"],
        cache_write_input_nanos_per_mtok=row["cache_write_input_nanos_per_mtok"],
        output_nanos_per_mtok=row["output_nanos_per_mtok"],
        effective_time=row["effective_time"],
    )
