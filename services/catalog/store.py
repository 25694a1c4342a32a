"""SQL of the catalogue as a whole: its version, and what the seed gave; every write bumps the version by trigger."""

from collections.abc import Mapping
from dataclasses import dataclass

from kit.database import Connection
from services.catalog import store_models, store_plans, store_upstreams
from services.catalog.rows import Model, Plan, Upstream


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
        models=await store_models.models(connection),
        plans=await store_plans.plans(connection),
        upstreams=await store_upstreams.upstreams(connection),
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
