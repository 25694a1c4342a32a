"""A pool of Postgres connections with timeouts, and transactions as context managers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import Counter, Gauge, Histogram

from kit import tracing
from kit.errors import Unavailable

if TYPE_CHECKING:
    Connection = PoolConnectionProxy[asyncpg.Record]
else:
    Connection = PoolConnectionProxy  # generic in its stubs only
"""What a transaction yields: an asyncpg connection borrowed from the pool."""

_NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
# The server is away, overloaded, or gave way to another transaction: nothing was committed
# (or the connection was lost during the commit), and the same request may be sent again.
_TRANSIENT = (
    *_NOT_YET,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
)

_POOL_BUCKETS_S = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0)
_waited = Histogram("db_pool_wait_seconds", "Wait for a connection of the pool.", buckets=_POOL_BUCKETS_S)
_denied = Counter("db_pool_denied", "Times that no connection was free in time, or none could be made.")
_connections = Gauge("db_pool_connections", "Connections of the pool.", ["state"])
_most = Gauge("db_pool_max_connections", "Most connections that the pool may have.")
_open: "WeakSet[Database]" = WeakSet()


class Database:
    """One service's database; every statement runs inside `transaction()` or `reader()`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        _open.add(self)

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        application_name: str,
        min_size: int = 1,
        max_size: int = 10,
        statement_timeout_s: float = 5,
        lock_timeout_s: float = 3,
        acquire_timeout_s: float = 3,
        connect_within_s: float = 15,
        statement_cache_size: int = 100,
    ) -> "Database":
        """Opens the pool, waiting up to `connect_within_s` for a server that is still starting.

        A refused password or an unknown database raises asyncpg's error at once; a server that
        stays away raises Unavailable. `statement_cache_size=0` is for PgBouncer.
        """
        give_up = time.monotonic() + connect_within_s
        while True:
            try:
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=min_size,
                    max_size=max_size,
                    # The server's own timeout comes first; this one is for a server gone silent.
                    command_timeout=statement_timeout_s + 1,
                    timeout=acquire_timeout_s,
                    statement_cache_size=statement_cache_size,
                    init=_follow,
                    reset=_keep,
                    server_settings={
                        "application_name": application_name,
                        "statement_timeout": str(round(statement_timeout_s * 1000)),
                        "lock_timeout": str(round(lock_timeout_s * 1000)),
                        "idle_in_transaction_session_timeout": "30000",
                    },
                )
                return cls(pool, acquire_timeout_s=acquire_timeout_s)
            except _NOT_YET as error:
                if time.monotonic() > give_up:
                    raise Unavailable("the database cannot be reached") from error
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A read-write transaction (READ COMMITTED): committed at the end, rolled back on any exception.

        Unavailable when no connection is free in time, the server is lost or takes no writes, or it
        cancelled the work (timeouts, deadlocks).
        """
        async with self._borrow() as connection:
            try:
                async with connection.transaction():
                    yield connection
            except asyncpg.ReadOnlySQLTransactionError as error:
                raise Unavailable("the database takes no writes") from error

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Connection]:
        """A read-only transaction that sees one snapshot (REPEATABLE READ); errors as `transaction`."""
        async with (
            self._borrow() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction, for a session lock; ended afterwards, and the lock with it.

        Errors as `transaction`.
        """
        async with self._borrow() as connection:
            try:
                yield connection
            finally:
                connection.terminate()

    async def ping(self) -> bool:
        """Whether the database answers a query now; never raises."""
        try:
            async with self._borrow() as connection:
                await connection.execute("SELECT 1")
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        """Closes the pool, waiting up to 5 s for borrowed connections, then cutting them."""
        _open.discard(self)
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many connections are idle, how many are used, and how many there may be."""
        idle = self._pool.get_idle_size()
        return idle, self._pool.get_size() - idle, self._pool.get_max_size()

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection]:
        began_s = time.perf_counter()
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        except _TRANSIENT as error:
            _denied.inc()
            raise Unavailable("the database cannot be reached") from error
        finally:
            _waited.observe(time.perf_counter() - began_s)
        try:
            yield connection
        except _TRANSIENT as error:
            raise Unavailable("the database gave up on this request") from error
        except asyncpg.InternalClientError as error:
            # The server has said that it goes, and the connection is not closed yet: it is of no use any more.
            connection.terminate()
            raise Unavailable("the database connection was lost") from error
        except asyncpg.InterfaceError as error:
            if not _is_lost(connection):
                raise
            raise Unavailable("the database connection was lost") from error
        finally:
            # A silent server does not confirm either that it cancels what timed out; asyncpg then drops the connection.
            with suppress(*_TRANSIENT):
                await self._pool.release(connection)


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has already taken the dead connection back
        return True


async def _follow(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Has the statements of a new connection traced, where that is wanted."""
    if tracing.active is not None:
        connection.add_query_logger(tracing.active.note_statement)


async def _keep(_: Any) -> None:
    """No reset of a returned connection: all work is in transactions, whose end undoes `SET LOCAL`.

    It saves a round trip for every transaction.
    """


def _count(column: int) -> float:
    """Asked by the thread that serves the metrics."""
    return sum(database.connections[column] for database in tuple(_open))


_connections.labels("idle").set_function(lambda: _count(0))
_connections.labels("used").set_function(lambda: _count(1))
_most.set_function(lambda: _count(2))
