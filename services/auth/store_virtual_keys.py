"""All SQL about which API key has which virtual key."""

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
