"""SQL of idempotency keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row: which request has the key, for which body, and its answer where one is kept."""

    api_key_id: UUID
    key_digest: bytes
    account_id: UUID
    body_digest: bytes
    request_id: UUID
    create_time: datetime
    sealed_answer: bytes | None = None


async def insert(connection: Connection, claim: Claim) -> bool:
    """Claims a key that nobody has; whether it could be done. Waits for whoever is claiming the same one."""
    answer = await connection.execute(
        "INSERT INTO usage.idempotency_keys (api_key_id, key_digest, account_id, body_digest, request_id, create_time)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (api_key_id, key_digest) DO NOTHING",
        *_values(claim),
    )
    return answer == "INSERT 0 1"


async def locked(connection: Connection, api_key_id: UUID, key_digest: bytes) -> Claim | None:
    """Who has the key, locked until the end of the transaction."""
    row = await connection.fetchrow(
        "SELECT api_key_id, key_digest, account_id, body_digest, request_id, create_time, sealed_answer"
        " FROM usage.idempotency_keys WHERE api_key_id = $1 AND key_digest = $2 FOR UPDATE",
        api_key_id,
        key_digest,
    )
    return Claim(**row) if row else None


async def replace(connection: Connection, claim: Claim) -> None:
    """Gives a locked key to another request."""
    await connection.execute(
        "UPDATE usage.idempotency_keys"
        " SET account_id = $3, body_digest = $4, request_id = $5, create_time = $6, sealed_answer = NULL"
        " WHERE api_key_id = $1 AND key_digest = $2",
        *_values(claim),
    )


async def delete(connection: Connection, api_key_id: UUID, key_digest: bytes, request_id: UUID) -> None:
    """Gives a key back, where this request has it."""
    await connection.execute(
        "DELETE FROM usage.idempotency_keys WHERE api_key_id = $1 AND key_digest = $2 AND request_id = $3",
        api_key_id,
        key_digest,
        request_id,
    )


async def keep(connection: Connection, api_key_id: UUID, key_digest: bytes, request_id: UUID, sealed: bytes) -> None:
    """Keeps the answer of the request that has the key; of another one nothing is kept."""
    await connection.execute(
        "UPDATE usage.idempotency_keys SET sealed_answer = $4"
        " WHERE api_key_id = $1 AND key_digest = $2 AND request_id = $3",
        api_key_id,
        key_digest,
        request_id,
        sealed,
    )


async def delete_before(connection: Connection, moment: datetime, *, limit: int) -> int:
    """Deletes keys that were claimed before that moment, and their answers; how many."""
    answer = await connection.execute(
        "DELETE FROM usage.idempotency_keys WHERE (api_key_id, key_digest) IN"
        " (SELECT api_key_id, key_digest FROM usage.idempotency_keys WHERE create_time <= $1"
        " ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED)",
        moment,
        limit,
    )
    return int(answer.split()[-1])


def _values(claim: Claim) -> tuple[UUID, bytes, UUID, bytes, UUID, datetime]:
    return (
        claim.api_key_id,
        claim.key_digest,
        claim.account_id,
        claim.body_digest,
        claim.request_id,
        claim.create_time,
    )
