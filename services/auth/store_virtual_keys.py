"""All SQL about which API key has which virtual key."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kit.database import Connection
from services.auth.rows import ApiKey
from services.auth.store_api_keys import KEY_COLUMNS, api_key_of


@dataclass(frozen=True, slots=True)
class Stored:
    """A virtual key as it is kept, and the limit that its budget follows."""

    sealed: bytes
    monthly_limit_nanos: int | None


async def virtual_key(c: Connection, api_key_id: UUID) -> Stored | None:
    """The API key's virtual key; None where it has none, or is gone."""
    row = await c.fetchrow(
        "SELECT virtual_key_sealed, monthly_limit_nanos FROM auth.api_keys"
        " WHERE id = $1 AND virtual_key_sealed IS NOT NULL",
        api_key_id,
    )
    return Stored(*row) if row else None


async def give_virtual_key(c: Connection, api_key_id: UUID, sealed: bytes) -> Stored | None:
    """Stores the virtual key of an API key that has none; None where it has one, or is gone."""
    row = await c.fetchrow(
        "UPDATE auth.api_keys SET virtual_key_sealed = $2 WHERE id = $1 AND virtual_key_sealed IS NULL"
        " RETURNING virtual_key_sealed, monthly_limit_nanos",
        api_key_id,
        sealed,
    )
    return Stored(*row) if row else None


async def without_virtual_key(c: Connection, *, after: UUID, limit: int) -> list[ApiKey]:
    """The next API keys, of whatever state, that have no virtual key, by id."""
    rows = await c.fetch(
        f"SELECT {KEY_COLUMNS} FROM auth.api_keys k WHERE k.id > $1 AND k.virtual_key_sealed IS NULL"
        " ORDER BY k.id LIMIT $2",
        after,
        limit,
    )
    return [api_key_of(row) for row in rows]


async def sealed_after(c: Connection, after: UUID, *, limit: int) -> list[tuple[UUID, bytes]]:
    """The next API keys that have a virtual key, by id, each with it."""
    rows = await c.fetch(
        "SELECT id, virtual_key_sealed FROM auth.api_keys WHERE id > $1 AND virtual_key_sealed IS NOT NULL"
        " ORDER BY id LIMIT $2",
        after,
        limit,
    )
    return [(row["id"], row["virtual_key_sealed"]) for row in rows]


async def replace_seals(c: Connection, seals: Sequence[tuple[UUID, bytes, bytes]]) -> int:
    """Stores the same virtual keys sealed otherwise: id, new and old; how many were still the old ones."""
    ids, new, old = [list(column) for column in zip(*seals, strict=True)] if seals else ([], [], [])
    done = await c.fetch(
        """
        UPDATE auth.api_keys k SET virtual_key_sealed = s.new
        FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS s (id, new, old)
        WHERE k.id = s.id AND k.virtual_key_sealed = s.old RETURNING k.id
        """,
        ids,
        new,
        old,
    )
    return len(done)
