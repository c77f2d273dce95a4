"""Elects one of several registry processes: the one that holds an advisory lock on a connection of its own."""

import asyncio
import contextlib

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.registry.service.locks import LEADER

log = structlog.get_logger(__name__)


class Leader:
    """Holds the lock as long as its connection lives; PostgreSQL gives it to the next process when it ends.

    For a moment two processes may both believe that they lead. Everything that a leader does is therefore a
    transaction that locks what it changes, or may be done twice.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack = contextlib.AsyncExitStack()
        self._connection: AsyncConnection | None = None
        self.leads = False

    async def check(self) -> bool:
        """Whether this process leads now; takes the lead if nobody has it.

        Raises:
            ServiceError: `storage_unavailable`; then it does not.
        """
        was, self.leads = self.leads, False
        try:
            if self._connection is None:
                self._connection = await self._stack.enter_async_context(self._database.connect())
            question = "select true" if was else "select pg_try_advisory_lock(:key)"
            self.leads = bool((await self._connection.execute(text(question), {} if was else {"key": LEADER})).scalar())
        except Exception as error:
            await self.resign()
            if isinstance(error, ServiceError):
                raise
            raise ServiceError("storage_unavailable", f"The lead was lost: {error}", retry_after_s=1) from error
        if self.leads and not was:
            log.info("leads now")
        return self.leads

    async def resign(self) -> None:
        """Give the lead to whoever wants it."""
        self.leads, self._connection = False, None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        # A connection that is broken cannot be closed in an orderly way, and need not be.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await stack.aclose()
