"""PostgreSQL: one pool of connections per process, transactions, advisory locks, and one error for "it is away"."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import asyncpg  # type: ignore[import-untyped]
import msgspec
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import transacted
from libs.kit.settings import PostgresSettings
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry.tracing import Kind, Step

_AWAY_STATES: Final = ("08", "25006", "40001", "40P01", "53", "57P", "58030")
"""SQLSTATE, or its beginning, that means: not now, and no fault of ours.

Connection lost; a stand-by, which only reads; given up for another's sake; no room on the disk, no memory, too many
clients; shutting down or starting up; the disk fails.
"""


class Database:
    """One service's connections; built without connecting."""

    def __init__(self, settings: PostgresSettings, *, fresh_plans: bool = False) -> None:
        """Prepare; with `fresh_plans` every statement is planned anew, for tables that grow fast from nothing."""
        self._settings = settings
        self._server_settings = {"plan_cache_mode": "force_custom_plan"} if fresh_plans else {}
        self._bulk: asyncpg.Pool | None = None
        self.engine: AsyncEngine = create_async_engine(
            URL.create(
                "postgresql+asyncpg",
                username=settings.user,
                password=settings.secret(),
                host=settings.host,
                port=settings.port,
                database=settings.database,
            ),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=settings.connect_timeout_s,
            connect_args={"timeout": settings.connect_timeout_s, "server_settings": self._server_settings},
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
        )

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back by an exception.

        Raises:
            ServiceError: `storage_unavailable`, the database does not answer; whether a commit that was under way
                happened is then unknown.
        """
        with transacted(), self._step(), unavailable():
            async with self.engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def begin_bulk(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction on the driver's own connection, for statements with thousands of rows; else as `begin`.

        Raises:
            ServiceError: as `begin`.
        """
        with transacted(), self._step(), unavailable():
            if self._bulk is None:
                # Makes no connection yet. This pool sees by itself, and without asking the server, which are lost.
                self._bulk = await asyncpg.create_pool(
                    host=self._settings.host,
                    port=self._settings.port,
                    user=self._settings.user,
                    database=self._settings.database,
                    password=self._settings.secret(),
                    timeout=self._settings.connect_timeout_s,
                    server_settings=self._server_settings,
                    min_size=0,
                    max_size=self._settings.pool_size,
                    reset=_leave,
                )
            acquired = self._bulk.acquire(timeout=self._settings.connect_timeout_s)
            async with acquired as connection, connection.transaction():
                yield connection

    def _step(self) -> Step:
        said = {names.DB_SYSTEM: names.POSTGRESQL, names.DB_NAMESPACE: self._settings.database}
        return Step("transaction", Kind.CLIENT, said)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection that commits each statement, for locks that outlive a transaction.

        Raises:
            ServiceError: `storage_unavailable`, the database does not answer.
        """
        with unavailable():
            async with self.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def connections(self) -> tuple[int, int]:
        """How many are in use, and how many wait to be used."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 - made above without another
        used, idle = pool.checkedout(), pool.checkedin()
        if self._bulk is not None:
            idle_bulk = self._bulk.get_idle_size()
            used, idle = used + self._bulk.get_size() - idle_bulk, idle + idle_bulk
        return used, idle

    @property
    def most_connections(self) -> int:
        """How many there may be."""
        return self._settings.pool_size * (1 if self._bulk is None else 2)

    async def answers(self) -> None:
        """Ask it for nothing.

        Raises:
            ServiceError: as `begin`.
        """
        async with self.connect() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        """End every connection."""
        await self.engine.dispose()
        if self._bulk is not None:
            self._bulk.terminate()


async def _leave(connection: asyncpg.Connection) -> None:
    """A transaction leaves nothing behind but itself."""
    if connection.is_in_transaction():
        await connection.execute("rollback")


async def lock(connection: AsyncConnection, key: int, *, shared: bool = False) -> None:
    """Wait for the advisory lock `key` and hold it until the transaction ends."""
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    await connection.execute(text(f"select {function}(:key)"), {"key": key})


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    """Turns "the database is away" into a typed error and leaves every other failure as it is."""
    try:
        yield
    except (OSError, PoolTimeoutError) as error:
        raise _away(error) from error
    except asyncpg.PostgresError as error:
        if not str(error.sqlstate or "").startswith(_AWAY_STATES):
            raise
        raise _away(error) from error
    except asyncpg.InterfaceError as error:
        # The driver's word for a connection that is gone, unless it is about a value.
        if isinstance(error, ValueError):
            raise
        raise _away(error) from error
    except DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", None) or "")
        lost = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        if not state.startswith(_AWAY_STATES) and (state or not lost):
            raise
        raise _away(error) from error


def _away(error: Exception) -> ServiceError:
    reason = str(getattr(error, "orig", None) or error or type(error).__name__).splitlines()[0][:200]
    said = f"The database does not answer, or not now ({reason}); try again."
    return ServiceError("storage_unavailable", said, retry_after_s=1)
