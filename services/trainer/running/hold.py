"""What a trainer holds of one job: a lease that it renews, and the right to write under its epoch."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.training import Job, JobState
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.registry_client import Registry
from libs.kit.waiting import set_within
from services.trainer.domain.machine import HELD, LostError
from services.trainer.repository import jobs

log = structlog.get_logger(__name__)

_RENEWALS: Final = 6
"""In the time of one lease."""
_MARGIN: Final = 1 / 3
"""Of a lease; what is not renewed by then is given up, so that the process has ended when the lease does."""
_RETRY_S: Final = 0.3

Beside = Callable[[AsyncConnection], Awaitable[None]]
"""Written in the same transaction."""


class Reason(StrEnum):
    """Why a job is not worked on any more."""

    LOST = "lost"
    """Cancelled, claimed by another, or the lease could not be renewed: nothing may be written."""
    PAUSED = "paused"
    STOPPING = "stopping"
    """This process ends."""


@dataclass
class Hold:
    """One claim; `ended` is set as soon as the work on it has to stop."""

    database: Database
    job: Job
    lease_s: float
    told: asyncio.Event
    """Set when there is an event to send."""
    claimed_s: float
    """On the monotonic clock, before the claim was asked for."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reason: Reason | None = None
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None
    _until_s: float = 0.0

    def __post_init__(self) -> None:
        self._until_s = self.claimed_s + self.lease_s

    def start(self) -> None:
        """Renew until `stop`."""
        self._task = asyncio.create_task(self._keep(), name=f"lease-{self.job.id}")

    async def stop(self) -> None:
        """Renew no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def nudge(self) -> None:
        """Somebody has changed the job: look at once."""
        self._nudge.set()

    def end(self, reason: Reason) -> None:
        """Let the work stop; being lost outweighs every other reason."""
        if self.reason is None or reason is Reason.LOST:
            self.reason = reason
        self.ended.set()

    @property
    def is_valid(self) -> bool:
        """Whether nobody else can have claimed the job yet."""
        return self.reason is not Reason.LOST and clock.monotonic_s() < self._until_s

    async def move(self, to: JobState, beside: Beside | None = None, **values: Any) -> None:
        """Bring the job into a state and note `values`, however long the database takes while the lease lasts.

        Raises:
            LostError: it is not ours any more.
        """

        async def write(connection: AsyncConnection) -> None:
            row = await jobs.move(connection, self.job.id, self.job.epoch, to, **values)
            if beside is not None:
                await beside(connection)
            self.job = jobs.job_of(row)

        if to not in HELD:
            # There will be no lease to renew.
            await self.stop()
        await self._write(write)
        self.told.set()

    async def note(self, **values: Any) -> None:
        """Write beside the job's state; the rest is as with `move`.

        Raises:
            LostError: it is not ours any more.
        """
        await self._write(lambda connection: jobs.note(connection, self.job.id, self.job.epoch, **values))

    async def _write(self, write: Beside) -> None:
        while True:
            self.check()
            try:
                async with self.database.begin() as connection:
                    return await write(connection)
            except ServiceError as error:
                if not error.spec.retryable:
                    raise
                log.warning("not written yet", job=self.job.id, reason=error.message)
            await asyncio.sleep(_RETRY_S)

    def check(self) -> None:
        """Refuse to go on with what may be another's by now.

        Raises:
            LostError: it is not ours any more.
        """
        if not self.is_valid and self.reason is not Reason.PAUSED:
            self.end(Reason.LOST)
            raise LostError("the lease has ended")

    async def _keep(self) -> None:
        while self.reason in (None, Reason.STOPPING):
            await set_within(self._nudge, self.lease_s / _RENEWALS)
            self._nudge.clear()
            asked_s = clock.monotonic_s()
            try:
                async with asyncio.timeout(self.lease_s / _RENEWALS):
                    reason = await self._renew()
            except (ServiceError, TimeoutError) as error:
                log.warning("lease not renewed", job=self.job.id, reason=str(error) or "no answer")
                if clock.monotonic_s() > self._until_s - self.lease_s * _MARGIN:
                    self.end(Reason.LOST)
                continue
            if reason is not None:
                self.end(reason)
            elif clock.monotonic_s() > self._until_s:
                # This process was stopped for longer than the lease; that nobody has noticed does not make it whole.
                self.end(Reason.LOST)
            else:
                self._until_s = asked_s + self.lease_s

    async def _renew(self) -> Reason | None:
        """Why it is not held any more, or None."""
        async with self.database.begin() as connection:
            if await jobs.renew(connection, self.job.id, self.job.epoch, self.lease_s):
                return None
            row = await jobs.find(connection, self.job.id)
        mine = row is not None and row.epoch == self.job.epoch
        state = JobState(row.state) if row is not None else JobState.CANCELLED
        if mine and state in (JobState.PAUSED, JobState.QUEUED):
            return Reason.PAUSED
        return Reason.LOST


class FencedRegistry:
    """The registry, asked only while the job is ours."""

    def __init__(self, registry: Registry, hold: Hold) -> None:
        self._registry = registry
        self._hold = hold

    async def call(self, operation: str, request: Any) -> Any:
        """The result of `operation`.

        Raises:
            LostError: the job is not ours any more.
            ServiceError: as `Registry.call`.
        """
        self._hold.check()
        return await self._registry.call(operation, request)
