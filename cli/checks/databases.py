"""PostgreSQL and Valkey: reached, new enough, durable, and with the schema of this release."""

import time
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cli.checks.check import ANSWER_WITHIN_S, Check, clock, failed, ok, skipped, warning
from cli.checks.surroundings import Surroundings
from deploy.local.settings import SERVICES
from kit import revisions
from kit.dsn import place, role_of

OLDEST_POSTGRES: Final = 150_000
OLDEST_VALKEY: Final = (6, 2)
NEARLY_FULL: Final = 0.8
_DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
_AWAY: Final = (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def postgres(here: Surroundings) -> list[Check]:
    """Each server that is known here, once."""
    urls = {place(url): url for url in [*here.service_urls.values(), here.database_url] if url}
    if not urls:
        return [skipped("postgres", "no DATABASE_URL or <SERVICE>_DATABASE_URL is set here")]
    found: list[Check] = []
    for where, url in urls.items():
        found += await _server(where, url)
    return found


async def _server(where: str, url: str) -> list[Check]:
    try:
        connection = await _connect(url)
    except _AWAY as error:
        return [
            failed("postgres", f"{where} cannot be used: {error}", "start it, or set the address and password right")
        ]
    try:
        before_s = time.time()
        (row,) = await connection.fetch(
            """
            SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
                   extract(epoch FROM clock_timestamp())::float8 AS now_s,
                   current_setting('server_encoding') AS encoding,
                   (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
                   current_setting('max_connections')::int AS most
            """
        )
        now_s = (before_s + time.time()) / 2
        settings = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in _DURABLE}
    except _AWAY as error:
        return [failed("postgres", f"{where} cannot be asked: {error}", "see its log")]
    finally:
        await connection.close()
    return [*_judged(where, row, settings), clock(f"PostgreSQL at {where}", row["now_s"] - now_s)]


def _judged(where: str, row: asyncpg.Record, settings: dict[str, str]) -> Sequence[Check]:
    name = "postgres"
    if row["number"] < OLDEST_POSTGRES:
        return [failed(name, f"{where} is PostgreSQL {row['version']}", "use 15 or newer")]
    found = []
    if off := [setting for setting, value in settings.items() if value == "off"]:
        found.append(
            failed(name, f"{where} has {' and '.join(off)} off: a crash of it can lose charges", "turn that on")
        )
    if row["encoding"] != "UTF8":
        found.append(failed(name, f"{where} is encoded in {row['encoding']}", "make a database with ENCODING 'UTF8'"))
    if row["used"] > NEARLY_FULL * row["most"]:
        found.append(
            warning(name, f"{where} has {row['used']} of {row['most']} connections in use", "raise max_connections")
        )
    return found or [ok(name, f"PostgreSQL {row['version']} at {where}, durable, {row['used']} connections")]


async def schemas(here: Surroundings) -> list[Check]:
    """Each service's schema, as the service itself sees it."""
    return [await _schema(service, here.service_urls.get(service, "")) for service in SERVICES]


async def _schema(service: str, url: str) -> Check:
    name = f"schema {service}"
    if not url:
        return skipped(name, f"{service.upper()}_DATABASE_URL is not known here")
    history = revisions.history(service)
    migrate = "privaterouter migrate"
    try:
        current = await revisions.applied(service, url)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        return failed(name, str(error), f"{migrate} (it sets the password of {role_of(service)} from APP_SECRET_KEY)")
    except _AWAY as error:
        return failed(name, f"cannot be looked at: {error}", "see postgres above")
    if current == history.newest:
        return ok(name, f"at {current}, as this release needs it")
    if current is None or current in history.known:
        return failed(name, f"is {f'at {current}' if current else 'not there'}, too old for this release", migrate)
    return failed(name, f"is at {current}, newer than this release", "run the release that migrated it")


async def valkey(here: Surroundings) -> list[Check]:
    """The one that limits and the bus share."""
    name = "valkey"
    if not here.redis_url:
        return [skipped(name, "REDIS_URL is not known here")]
    where = place(here.redis_url)
    try:
        client = Redis.from_url(
            here.redis_url,
            socket_connect_timeout=ANSWER_WITHIN_S,
            socket_timeout=ANSWER_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        return [failed(name, f"REDIS_URL makes no sense: {error}", "redis://host:6379/0")]
    try:
        before_s = time.time()
        seconds, micros = await client.time()
        ahead_s = seconds + micros / 1e6 - (before_s + time.time()) / 2
        info: dict[str, Any] = await client.info()
    except (RedisError, OSError, TimeoutError) as error:
        mend = "start it, or set REDIS_URL right; until then each edge limits by itself"
        return [failed(name, f"{where} cannot be used: {error}", mend)]
    finally:
        await client.aclose()
    return [_judged_valkey(where, info), clock(f"Valkey at {where}", ahead_s)]


def _judged_valkey(where: str, info: dict[str, Any]) -> Check:
    version = str(info.get("valkey_version") or info.get("redis_version"))
    kind = "Valkey" if "valkey_version" in info else "Redis"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VALKEY:
        return failed("valkey", f"{where} is {kind} {version}", "use Valkey 7.2 or Redis 6.2, or a newer one")
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used > NEARLY_FULL * most:
        return warning("valkey", f"{where} has {used:,} of {most:,} bytes in use", "give it more memory")
    return ok("valkey", f"{kind} {version} at {where}")


async def _connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=ANSWER_WITHIN_S, statement_cache_size=0)
