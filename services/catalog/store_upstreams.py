"""SQL of upstreams."""

from asyncpg import Record

from kit.database import Connection
from services.catalog.rows import Dialect, Upstream, UpstreamKind

_UPSTREAMS = """
SELECT name, kind, base_url, sealed_credential, virtual_keys, max_in_flight, max_queued, dialects
FROM catalog.upstreams
"""


async def upstreams(connection: Connection) -> tuple[Upstream, ...]:
    """All upstreams, by name."""
    return tuple(_upstream(row) for row in await connection.fetch(f"{_UPSTREAMS} ORDER BY name"))


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
        INSERT INTO catalog.upstreams (name, kind, base_url, sealed_credential, virtual_keys, max_in_flight,
            max_queued, dialects)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url,
            sealed_credential = excluded.sealed_credential, virtual_keys = excluded.virtual_keys,
            max_in_flight = excluded.max_in_flight, max_queued = excluded.max_queued, dialects = excluded.dialects
        """,
        new.name,
        new.kind,
        new.base_url,
        new.sealed_credential,
        new.virtual_keys,
        new.max_in_flight,
        new.max_queued,
        new.dialects,
    )


async def replace_credential(
    connection: Connection, name: str, sealed: bytes | None, *, instead_of: bytes | None
) -> None:
    """Store the same credential sealed otherwise, unless somebody has set another one meanwhile."""
    await connection.execute(
        "UPDATE catalog.upstreams SET sealed_credential = $2 WHERE name = $1 AND sealed_credential = $3",
        name,
        sealed,
        instead_of,
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


def _upstream(row: Record) -> Upstream:
    return Upstream(
        name=row["name"],
        kind=UpstreamKind(row["kind"]),
        base_url=row["base_url"],
        sealed_credential=row["sealed_credential"],
        virtual_keys=row["virtual_keys"],
        max_in_flight=row["max_in_flight"],
        max_queued=row["max_queued"],
        dialects=tuple(Dialect(dialect) for dialect in row["dialects"]),
    )
