"""All SQL about API keys and what caches must drop."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from kit.database import Connection
from kit.paging import Page
from services.auth.rows import ApiKey, DeletedKey, KeySettings, KnownKey, Revocation

KEY_COLUMNS = (
    "k.id, k.user_id, k.key_prefix, k.name, k.status, k.monthly_limit_nanos, k.allowed_models, k.rpm_limit,"
    " k.expire_time, k.create_time, k.last_use_time, k.tpm_limit, k.max_in_flight, k.keeps_answers"
)
# Any number will do, as long as no other lock of this database has it.
_REVOCATIONS_LOCK = 0x72766B


async def count_api_keys(c: Connection, user_id: UUID) -> int:
    """How many keys the user has."""
    count: int = await c.fetchval("SELECT count(*) FROM auth.api_keys WHERE user_id = $1", user_id)
    return count


async def insert_api_key(
    c: Connection, api_key: ApiKey, *, secret_digest: bytes, virtual_key_sealed: bytes | None
) -> None:
    """Stores a new key."""
    settings = api_key.settings
    await c.execute(
        """
        INSERT INTO auth.api_keys (
            id, user_id, secret_digest, key_prefix, name, status, monthly_limit_nanos, allowed_models, rpm_limit,
            expire_time, create_time, virtual_key_sealed, tpm_limit, max_in_flight, keeps_answers
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        api_key.id,
        api_key.user_id,
        secret_digest,
        api_key.key_prefix,
        settings.name,
        settings.status,
        settings.monthly_limit_nanos,
        settings.allowed_models,
        settings.rpm_limit,
        settings.expire_time,
        api_key.create_time,
        virtual_key_sealed,
        settings.tpm_limit,
        settings.max_in_flight,
        settings.keeps_answers,
    )


async def api_keys_page(c: Connection, user_id: UUID, page: Page) -> tuple[list[ApiKey], int]:
    """One page of a user's keys, newest first, and how many there are."""
    total = await count_api_keys(c, user_id)
    rows = await c.fetch(
        f"SELECT {KEY_COLUMNS} FROM auth.api_keys k WHERE k.user_id = $1 ORDER BY k.id DESC LIMIT $2 OFFSET $3",
        user_id,
        page.limit,
        page.offset,
    )
    return [api_key_of(row) for row in rows], total


async def locked_api_key(c: Connection, api_key_id: UUID, *, user_id: UUID) -> ApiKey | None:
    """The user's key with this id, which stays as is until the transaction ends."""
    row = await c.fetchrow(
        f"SELECT {KEY_COLUMNS} FROM auth.api_keys k WHERE k.id = $1 AND k.user_id = $2 FOR NO KEY UPDATE",
        api_key_id,
        user_id,
    )
    return api_key_of(row) if row else None


async def update_api_key(c: Connection, api_key_id: UUID, settings: KeySettings) -> None:
    """Stores all that the owner may change."""
    await c.execute(
        """
        UPDATE auth.api_keys
        SET name = $2, status = $3, monthly_limit_nanos = $4, allowed_models = $5, rpm_limit = $6, expire_time = $7,
            tpm_limit = $8, max_in_flight = $9, keeps_answers = $10
        WHERE id = $1
        """,
        api_key_id,
        settings.name,
        settings.status,
        settings.monthly_limit_nanos,
        settings.allowed_models,
        settings.rpm_limit,
        settings.expire_time,
        settings.tpm_limit,
        settings.max_in_flight,
        settings.keeps_answers,
    )


async def delete_api_key(c: Connection, api_key_id: UUID, *, user_id: UUID) -> DeletedKey | None:
    """Deletes the user's key; None where there is no such key."""
    row = await c.fetchrow(
        "DELETE FROM auth.api_keys WHERE id = $1 AND user_id = $2"
        " RETURNING key_prefix, name, virtual_key_sealed IS NOT NULL",
        api_key_id,
        user_id,
    )
    return DeletedKey(*row) if row else None


async def known_secrets(c: Connection, digests: Sequence[bytes]) -> tuple[dict[bytes, KnownKey], int]:
    """The keys with these digests, by digest, and the last revocation they reflect; one statement."""
    rows = await c.fetch(
        f"""
        SELECT {KEY_COLUMNS}, k.secret_digest, k.virtual_key_sealed, u.status AS owner_status, r.last_sequence
        FROM (SELECT coalesce(max(sequence), 0) AS last_sequence FROM auth.revocations) r
        LEFT JOIN (auth.api_keys k JOIN auth.users u ON u.id = k.user_id) ON k.secret_digest = ANY($1::bytea[])
        """,
        digests,
    )
    found = {row["secret_digest"]: _known_key(row) for row in rows if row["id"] is not None}
    return found, rows[0]["last_sequence"]


async def replace_digests(c: Connection, digests: Mapping[UUID, bytes]) -> None:
    """Stores the same secrets under other digests; keys are locked in one order, so batches cannot deadlock."""
    await c.execute(
        """
        WITH fresh AS (
            SELECT k.id, d.digest FROM auth.api_keys k
            JOIN unnest($1::uuid[], $2::bytea[]) AS d (id, digest) USING (id)
            ORDER BY k.id FOR NO KEY UPDATE OF k
        )
        UPDATE auth.api_keys k SET secret_digest = fresh.digest FROM fresh WHERE k.id = fresh.id
        """,
        list(digests),
        list(digests.values()),
    )


async def known_key(c: Connection, api_key_id: UUID, *, user_id: UUID) -> KnownKey | None:
    """The user's key with this id."""
    row = await c.fetchrow(
        f"""
        SELECT {KEY_COLUMNS}, k.virtual_key_sealed, u.status AS owner_status
        FROM auth.api_keys k JOIN auth.users u ON u.id = k.user_id WHERE k.id = $1 AND k.user_id = $2
        """,
        api_key_id,
        user_id,
    )
    return _known_key(row) if row else None


async def note_use(c: Connection, api_key_ids: Sequence[UUID], times: Sequence[datetime], *, now: datetime) -> None:
    """Moves `last_use_time` forward, to `now` at most; keys are locked in one order, so batches cannot deadlock."""
    await c.execute(
        """
        WITH uses AS (
            SELECT id, least(max(time), $3) AS time FROM unnest($1::uuid[], $2::timestamptz[]) AS use (id, time)
            GROUP BY id
        ), behind AS (
            SELECT k.id, uses.time FROM auth.api_keys k JOIN uses USING (id)
            WHERE k.last_use_time IS NULL OR k.last_use_time < uses.time
            ORDER BY k.id FOR NO KEY UPDATE OF k
        )
        UPDATE auth.api_keys k SET last_use_time = behind.time FROM behind WHERE k.id = behind.id
        """,
        api_key_ids,
        times,
        now,
    )


async def add_revocation(c: Connection, *, user_id: UUID, api_key_id: UUID | None, now: datetime) -> None:
    """Adds to the end of the list.

    From here to the commit no other transaction can, so a sequence number becomes visible only when
    all lower ones are, and none is left out.
    """
    await c.execute("SELECT pg_advisory_xact_lock($1)", _REVOCATIONS_LOCK)
    await c.execute(
        """
        INSERT INTO auth.revocations (sequence, api_key_id, user_id, create_time)
        SELECT coalesce(max(sequence), 0) + 1, $1, $2, $3 FROM auth.revocations
        """,
        api_key_id,
        user_id,
        now,
    )


async def revocations_after(c: Connection, sequence: int, *, limit: int) -> list[Revocation]:
    """The next revocations, in order."""
    rows = await c.fetch(
        "SELECT sequence, api_key_id, user_id FROM auth.revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        sequence,
        limit,
    )
    return [Revocation(row["sequence"], row["api_key_id"], row["user_id"]) for row in rows]


async def last_revocation(c: Connection) -> int:
    """The end of the list; 0 while it is empty."""
    sequence: int = await c.fetchval("SELECT coalesce(max(sequence), 0) FROM auth.revocations")
    return sequence


async def delete_revocations(c: Connection, moment: datetime, *, limit: int) -> int:
    """Deletes the oldest revocations from before a moment; how many. The last one stays: the next counts from it."""
    answer = await c.execute(
        """
        DELETE FROM auth.revocations WHERE sequence IN (
            SELECT sequence FROM auth.revocations
            WHERE create_time < $1 AND sequence < (SELECT max(sequence) FROM auth.revocations)
            ORDER BY sequence LIMIT $2)
        """,
        moment,
        limit,
    )
    return int(answer.split()[-1])


def _known_key(row: Record) -> KnownKey:
    return KnownKey(api_key_of(row), row["owner_status"], row["virtual_key_sealed"])


def api_key_of(row: Record) -> ApiKey:
    """The API key in a row of KEY_COLUMNS."""
    return ApiKey(
        id=row["id"],
        user_id=row["user_id"],
        key_prefix=row["key_prefix"],
        settings=KeySettings(
            name=row["name"],
            status=row["status"],
            monthly_limit_nanos=row["monthly_limit_nanos"],
            allowed_models=tuple(row["allowed_models"]),
            rpm_limit=row["rpm_limit"],
            expire_time=row["expire_time"],
            tpm_limit=row["tpm_limit"],
            max_in_flight=row["max_in_flight"],
            keeps_answers=row["keeps_answers"],
        ),
        create_time=row["create_time"],
        last_use_time=row["last_use_time"],
    )
