"""What a process needs before it can start: waited for with one line every few seconds, and not for ever.

await wait_for(schema("auth", url, allow_newer=False), valkey(redis_url), within_s=60)

The process ends with status 1 where it has waited in vain, so that whoever started it tries again; with status 2 where
waiting would not help, as with settings that make no sense.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from kit import revisions
from kit.dsn import place
from kit.logs import get_logger

SAY_EVERY_S: Final = 3.0
ASK_EVERY_S: Final = 0.25
ANSWER_WITHIN_S: Final = 4.0
IN_VAIN, REFUSED = 1, 2
"""Exit statuses."""

log = get_logger()

Say = Callable[["Need", str, float], None]
"""Tells of a need, what it lacks, and for how many seconds it has been waited for."""


class Refused(Exception):
    """It is there, and not as it must be; waiting does not help. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that has to be there; `what` names it and its place, without a password."""

    what: str
    lacks: Callable[[], Awaitable[str]]
    """What is missing, in words; empty when all is well. Raises Refused."""


def in_the_log(need: Need, missing: str, waited_s: float) -> None:
    """The line that a server writes while it waits."""
    log.warning("waiting_to_start", what=need.what, missing=missing, waited_s=round(waited_s, 1))


async def wait_for(*needs: Need, within_s: float, say: Say = in_the_log) -> None:
    """Returns once all needs are met. SystemExit, with a line on stderr, where they are not in time, or refuse."""
    with _ended_by_sigterm():
        begin = time.monotonic()
        for need in needs:
            try:
                await _wait_for(need, begin=begin, within_s=within_s, say=say)
            except Refused as error:
                sys.stderr.write(f"{error}\n")
                raise SystemExit(REFUSED) from None


async def _wait_for(need: Need, *, begin: float, within_s: float, say: Say) -> None:
    next_line_s = 0.0
    while missing := await lacks(need):
        waited_s = time.monotonic() - begin
        if waited_s + ASK_EVERY_S > within_s:
            sys.stderr.write(f"Gave up after {waited_s:.0f} s: {need.what} {missing}\n")
            raise SystemExit(IN_VAIN)
        if waited_s >= next_line_s:
            say(need, missing, waited_s)
            next_line_s = waited_s + SAY_EVERY_S
        await asyncio.sleep(ASK_EVERY_S)


async def lacks(need: Need) -> str:
    """What is missing now; a silent server is one that cannot be reached. Raises Refused."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await need.lacks()
    except TimeoutError:
        return "does not answer"


def postgres(url: str) -> Need:
    """A server that takes connections with these credentials."""

    async def ask() -> str:
        connection = await asyncpg.connect(url, timeout=ANSWER_WITHIN_S)
        await connection.close(timeout=ANSWER_WITHIN_S)
        return ""

    return Need(f"PostgreSQL at {place(url)}", lambda: _in_words(ask))


def schema(service: str, url: str, *, allow_newer: bool) -> Need:
    """The service's schema on a server, as this release needs it; `url` is the service's own.

    An older one is waited for, since it may be being migrated. A newer one is refused, unless that is allowed: the
    releases after this one have changed it in ways that only the next one had to get along with.
    """
    history = revisions.history(service)

    async def ask() -> str:
        current = await revisions.applied(service, url)
        if current == history.newest:
            return ""
        if current is None or current in history.known:
            has = f"is at {current}" if current else "is not there"
            return f"has an old schema: {service} {has} and this release needs {history.newest}. {MIGRATE}"
        if not allow_newer:
            raise Refused(
                f"PostgreSQL at {place(url)} has a newer schema: {service} is at {current}, which this release does "
                "not know. Run the release that migrated it; to go back to the one before, set ALLOW_NEWER_SCHEMA=true."
            )
        log.warning("schema_is_newer", service=service, at=current, known=history.newest)
        return ""

    return Need(f"PostgreSQL at {place(url)}", lambda: _in_words(ask))


MIGRATE: Final = "Run `privaterouter migrate` of this release."


async def _in_words(ask: Callable[[], Awaitable[str]]) -> str:
    """An answer, or why there is none. Refused where the address is none."""
    try:
        return await ask()
    except ValueError:
        raise Refused(
            "A database's address makes no sense; it looks like postgresql://user:password@host:5432/database"
        ) from None
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        return f"refuses us: {error}. Where the role was not made yet: {MIGRATE}"
    except asyncpg.InvalidCatalogNameError as error:
        return f"refuses us: {error}"
    except asyncpg.PostgresError as error:
        return f"is not ready: {error}"
    except (OSError, asyncpg.InterfaceError) as error:
        if isinstance(error, TimeoutError):
            raise
        return f"cannot be reached: {error}"


def valkey(url: str) -> Need:
    """A Valkey or Redis that answers."""
    # Imported for those who wait for one only: it is a fifth of the start of a service that needs none.
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    async def ask() -> str:
        try:
            client = Redis.from_url(
                url, socket_connect_timeout=ANSWER_WITHIN_S, socket_timeout=ANSWER_WITHIN_S, retry=Retry(NoBackoff(), 0)
            )
        except ValueError:
            raise Refused("REDIS_URL: makes no sense; it looks like redis://user:password@host:6379/0") from None
        try:
            await client.ping()
        except (RedisError, OSError) as error:
            return f"cannot be reached: {error}"
        finally:
            await client.aclose()
        return ""

    return Need(f"Valkey at {place(url)}", ask)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the process while it waits: as the first one of a container it would else not hear it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    told = False

    def end() -> None:
        nonlocal told
        told = True
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
