"""Where a marked word may have got to: searches logs, database, Valkey, journals, traces and metrics for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from redis.asyncio import Redis

from tests.telemetry.observed import Observed

PROCESSES = ("edge", "auth", "billing", "catalog", "usage")
_SCHEMAS = ["auth", "billing", "catalog", "usage", "public"]


@dataclass(frozen=True)
class Trove:
    """All that was kept of what has happened, as text: by its kind, then by its place."""

    places: dict[str, dict[str, str]]

    def finds(self, words: Iterable[str], *, but: Iterable[str] = ()) -> list[str]:
        """Where any of the words is, with a little of what is around it."""
        found = []
        for word in words:
            for kind, places in self.places.items():
                for place, text in places.items():
                    at = text.lower().find(word.lower())
                    if at >= 0 and f"{kind}: {place}" not in set(but):
                        found.append(f"{word} in {kind}: {place}: {text[max(0, at - 200) : at + 100]!r}")
        return found

    def kinds_with(self, word: str) -> set[str]:
        """The kinds of places that have a word."""
        return {kind for kind, places in self.places.items() if any(word in text for text in places.values())}


async def gather(system: Observed) -> Trove:
    """Everything as it is now."""
    async with httpx.AsyncClient() as client:
        metrics = {name: (await client.get(url)).text for name, url in system.metrics_urls.items()}
    return Trove(
        {
            "logs": {name: system.log(name) for name in PROCESSES},
            "traces": {"spans": (system.directory / "spans.jsonl").read_text()},
            "metrics": metrics,
            "journals": {path.name: path.read_bytes().decode("latin-1") for path in system.journals.iterdir()},
            "database": await _rows(system.services.database_url),
            "valkey": await _keys(system.services.environment["REDIS_URL"]),
        }
    )


async def _rows(url: str) -> dict[str, str]:
    """Every column of every table, bytes both in hexadecimal and as what they may spell."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            """
            SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
            JOIN information_schema.tables USING (table_schema, table_name)
            WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE' AND NOT EXISTS (
                SELECT FROM pg_inherits WHERE inhrelid = format('%I.%I', table_schema, table_name)::regclass
            )
            """,
            _SCHEMAS,
        )
        return {
            f"{schema}.{table}.{column}": await _column(
                connection, f"{schema}.{table}", column, is_bytes=kind == "bytea"
            )
            for schema, table, column, kind in columns
        }
    finally:
        await connection.close()


async def _column(connection: "asyncpg.Connection[asyncpg.Record]", table: str, column: str, *, is_bytes: bool) -> str:
    form = f"encode(\"{column}\", 'escape')" if is_bytes else f'"{column}"::text'
    return await connection.fetchval(f"SELECT coalesce(string_agg({form}, E'\\n'), '') FROM {table}") or ""


async def _keys(url: str) -> dict[str, str]:
    found = {}
    async with Redis.from_url(url) as redis:
        read: dict[bytes, Any] = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"set": redis.smembers,
            b"zset": lambda key: redis.zrange(key, 0, -1),
            b"list": lambda key: redis.lrange(key, 0, -1),
        }
        async for key in redis.scan_iter():
            kind: Any = await redis.type(key)
            found[repr(key)] = f"{key!r} {await read[kind](key)!r}"
    return found
