"""Elects one of several processes: the one that holds a lease, under an epoch that grows with each leader.

The lease is the one row of a table `leadership (epoch, holder, lease_until)` in the service's schema, on the
database's clock.
"""

from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database

log = structlog.get_logger(__name__)

_SURE: Final = 0.8
"""Of the lease, what this process relies on: its clock and the database's may differ in pace."""
_RENEW: Final = """
update {schema}.leadership set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where holder = :holder and epoch = :epoch and lease_until > clock_timestamp()
returning epoch
"""
_TAKE: Final = """
update {schema}.leadership
set epoch = greatest(epoch + 1, extract(epoch from clock_timestamp())::bigint),
    holder = :holder,
    lease_until = clock_timestamp() + make_interval(secs => :lease_s)
where lease_until <= clock_timestamp()
returning epoch
"""
"""Grows by the clock, too, so that whoever follows a leader believes that of a database which was made anew."""
_RESIGN: Final = """
update {schema}.leadership set lease_until = clock_timestamp() where holder = :holder and epoch = :epoch
"""
_FENCE: Final = """
select 1 from {schema}.leadership where epoch = :epoch for share
"""


class LostError(Exception):
    """Another process leads."""


class Leader:
    """Leads while it renews; whoever is stopped for a lease has lost the lead, and `fence` tells so."""

    def __init__(self, database: Database, instance: str, *, schema: str, lease_s: float) -> None:
        self._database = database
        self._instance = instance
        self._lease_s = lease_s
        self._renewal, self._taking, self._resignation, self._fence = (
            text(statement.format(schema=schema)) for statement in (_RENEW, _TAKE, _RESIGN, _FENCE)
        )
        self._until_s = 0.0
        self.epoch = 0
        """Under which this process leads, or has led last."""

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return clock.monotonic_s() < self._until_s

    async def check(self) -> int:
        """Renew the lease, or take it if nobody has it; always 0, for there is nothing left to do at once.

        Raises:
            ServiceError: `storage_unavailable`; what is left of the lease is still good.
        """
        asked_s = clock.monotonic_s()
        async with self._database.begin() as connection:
            epoch = await self._renew(connection) or await self._take(connection)
        if epoch and epoch != self.epoch:
            log.info("leads", epoch=epoch)
        elif not epoch and self.epoch:
            log.warning("leads no more", epoch=self.epoch)
        self.epoch = epoch
        self._until_s = asked_s + _SURE * self._lease_s if epoch else 0.0
        return 0

    async def fence(self, connection: AsyncConnection) -> None:
        """Return only if nobody else leads, nor will before this transaction has ended.

        Raises:
            LostError: somebody does.
        """
        if not self.epoch or (await connection.execute(self._fence, {"epoch": self.epoch})).first() is None:
            raise LostError(f"epoch {self.epoch} is over")

    async def resign(self) -> None:
        """Give the lead to whoever wants it."""
        self._until_s = 0.0
        if not self.epoch:
            return
        try:
            async with self._database.begin() as connection:
                await connection.execute(self._resignation, {"holder": self._instance, "epoch": self.epoch})
        except ServiceError as error:
            log.info("the lease runs out by itself", reason=error.message)

    async def _renew(self, connection: AsyncConnection) -> int:
        """The epoch for another lease; 0 if this process does not lead any more, or never did."""
        if not self.epoch:
            return 0
        values = {"holder": self._instance, "epoch": self.epoch, "lease_s": self._lease_s}
        row = (await connection.execute(self._renewal, values)).first()
        return self.epoch if row is not None else 0

    async def _take(self, connection: AsyncConnection) -> int:
        """A new epoch, if nobody leads; else 0."""
        values = {"holder": self._instance, "lease_s": self._lease_s}
        row = (await connection.execute(self._taking, values)).first()
        return int(row.epoch) if row is not None else 0
