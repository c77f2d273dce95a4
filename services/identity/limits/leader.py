"""Elects the one process that grants: it holds a lease on the database's clock, under an epoch that grows."""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.identity.limits import repository

log = structlog.get_logger(__name__)

_SURE: Final = 0.8
"""Of the lease, what this process relies on: its clock and the database's may differ in pace."""


class LostError(Exception):
    """Another process leads."""


class Leader:
    """Leads while it renews; `fence` keeps whoever was stopped for longer from writing."""

    def __init__(self, database: Database, instance: str, *, lease_s: float) -> None:
        self._database = database
        self._instance = instance
        self._lease_s = lease_s
        self._until_s = 0.0
        self.epoch = 0
        """Under which this process leads, or has led last."""

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return clock.monotonic_s() < self._until_s

    async def check(self) -> None:
        """Renew the lease, or take it if nobody has it.

        Raises:
            ServiceError: `storage_unavailable`; what is left of the lease is still good.
        """
        asked_s = clock.monotonic_s()
        async with self._database.begin() as connection:
            epoch = self.epoch
            if not epoch or not await repository.renew(connection, self._instance, epoch, self._lease_s):
                epoch = await repository.take(connection, self._instance, self._lease_s)
        if epoch and epoch != self.epoch:
            log.info("grants limits", epoch=epoch)
        elif not epoch and self.epoch:
            log.warning("grants limits no more", epoch=self.epoch)
        self.epoch = epoch
        self._until_s = asked_s + _SURE * self._lease_s if epoch else 0.0

    async def fence(self, connection: AsyncConnection) -> None:
        """Return only if nobody else leads, nor will before this transaction has ended.

        Raises:
            LostError: somebody does.
        """
        if not self.epoch or not await repository.holds(connection, self.epoch):
            raise LostError(f"epoch {self.epoch} is over")

    async def resign(self) -> None:
        """Give the lead to whoever wants it."""
        self._until_s = 0.0
        if not self.epoch:
            return
        try:
            async with self._database.begin() as connection:
                await repository.resign(connection, self._instance, self.epoch)
        except ServiceError as error:
            log.info("the lease runs out by itself", reason=error.message)
