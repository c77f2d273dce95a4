"""What the work on a job stands on, made once per process and once per claim."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from libs.contracts.training import JobState
from libs.kit.errors import ServiceError
from libs.kit.fetch.cache import Cache, Lease
from libs.kit.postgres import Database
from libs.kit.publish import Description
from libs.kit.registry_client import Registry
from services.trainer.running.child import Child
from services.trainer.running.hold import FencedRegistry, Hold
from services.trainer.running.recorder import Recorder, Tell
from services.trainer.running.space import Space
from services.trainer.running.store import Shelf, publish_directory
from services.trainer.settings import Settings
from services.trainer.work.order import Order


@dataclass(frozen=True, kw_only=True)
class Context:
    """Shared by all claims of one trainer."""

    instance: str
    settings: Settings
    database: Database
    registry: Registry
    space: Space
    cache: Cache
    code: str
    """Commit or release of this code."""
    tell: Tell
    told: asyncio.Event
    """Set when there is an event to send."""


@dataclass
class Attempt:
    """The work on one job under one epoch."""

    context: Context
    hold: Hold
    directory: Path
    recorder: Recorder
    intended: str = ""
    """Reference of what an earlier claim was about to publish."""
    child: Child | None = None
    """The process, once there is one."""

    def __post_init__(self) -> None:
        self.registry = FencedRegistry(self.context.registry, self.hold)
        self.shelf = Shelf(self.registry, self.context.cache, pause_s=self.context.settings.retry_s)

    async def publish(self, directory: Path, description: Description) -> str:
        """Publish what came of the job; its full reference, noted before, so that it is not made twice.

        Raises:
            LostError: the job is not ours any more.
            ServiceError: as `publish_directory`.
        """

        async def intend(reference: str) -> None:
            await self.hold.note(intended=reference)

        return await publish_directory(
            self.registry,
            directory,
            description,
            self.hold.job.author,
            owner=self.hold.job.tenant,
            pause_s=self.context.settings.retry_s,
            intend=intend,
        )

    async def published(self) -> Lease | None:
        """What an earlier claim has published before it was cut short, or None.

        Raises:
            LostError: the job is not ours any more.
            ServiceError: as `Shelf.take`.
        """
        if not self.intended:
            return None
        try:
            return await self.shelf.take(self.intended)
        except ServiceError as error:
            if error.code != "version_not_found":
                raise
            return None

    def employ(self, order: Order, *, threads: int = 1) -> Child:
        """Prepare the process that carries out `order`."""
        settings = self.context.settings
        self.child = Child(
            module=settings.work_module,
            order=order,
            threads=threads,
            priority=settings.priority,
            environment=settings.work_environment,
        )
        return self.child

    def can_end_well(self) -> bool:
        """Whether the work, which has been told to stop, is worth waiting for: a checkpoint, or a publication."""
        return self.hold.job.state is JobState.PUBLISHING or (self.child is not None and self.child.ask_to_stop())
