"""Checkpoints between this disk and the registry: the newest is sent when it is whole, and brought back later."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import structlog

from libs.contracts.registry import Kind, Lineage
from libs.kit.errors import ServiceError
from libs.kit.publish import Description
from libs.kit.registry_client import Registry
from libs.kit.telemetry.tracing import Unrecorded
from services.trainer.domain.machine import LostError
from services.trainer.running.hold import Hold
from services.trainer.running.space import CHECKPOINTS, checkpoint_steps, remove
from services.trainer.running.store import Shelf, delete_all, publish_directory

log = structlog.get_logger(__name__)

STEP: Final = "step"


class Checkpoints:
    """Those of one job while it is held."""

    def __init__(self, registry: Registry, hold: Hold, directory: Path, *, pause_s: float) -> None:
        self._registry = registry
        self._hold = hold
        self._directory = directory
        self._pause_s = pause_s
        self._wanted = -1
        self._fresh = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.sent_step = -1

    async def restore(self, shelf: Shelf, reference: str) -> None:
        """Bring the checkpoint `reference` here, unless one that is as new is here already.

        Raises:
            ServiceError: as `Shelf.take`.
        """
        try:
            lease = await shelf.take(reference)
        except ServiceError as error:
            if error.code != "version_not_found":
                raise
            log.warning("a checkpoint is gone", job=self._hold.job.id, checkpoint=reference)
            return
        step = int(lease.manifest.annotations.get(STEP, "0"))
        if checkpoint_steps(self._directory)[-1:] >= [step]:
            return
        target = self._directory / CHECKPOINTS / str(step)
        await asyncio.to_thread(_copy, lease.directory, target)

    def start(self) -> None:
        """Send what `whole` names until `stop`."""
        with Unrecorded():
            self._task = asyncio.create_task(self._keep(), name=f"checkpoints-{self._hold.job.id}")

    async def stop(self) -> None:
        """Send no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def whole(self, step: int) -> None:
        """The checkpoint of `step` is on the disk."""
        self._wanted = max(self._wanted, step)
        self._fresh.set()

    async def send(self, step: int) -> None:
        """Publish the checkpoint of `step`, note it, and delete the one before.

        Raises:
            LostError: the job is not ours any more.
            ServiceError: the registry refuses it.
        """
        job = self._hold.job
        if step <= self.sent_step:
            return
        description = Description(
            name=job.id, kind=Kind.CHECKPOINT, lineage=Lineage(job=job.id), annotations={STEP: str(step)}
        )
        directory = self._directory / CHECKPOINTS / str(step)
        await self._hold.note(littered=True)
        reference = await publish_directory(
            self._registry, directory, description, job.author, owner=job.tenant, pause_s=self._pause_s
        )
        await self._hold.note(checkpoint=reference, deaths=0)
        self.sent_step = step
        await delete_all(self._registry, job.id, Kind.CHECKPOINT, job.author, keep=reference)

    async def _keep(self) -> None:
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            try:
                await self.send(self._wanted)
            except LostError:
                return
            except (ServiceError, OSError) as error:
                # The job goes on; what is on this disk still counts, and the next one may come through.
                log.warning("checkpoint not sent", job=self._hold.job.id, reason=str(error))


def _copy(source: Path, target: Path) -> None:
    """Files of the cache are read-only and shared; whoever works on a checkpoint has one of its own."""
    draft = target.with_name(f".{target.name}")
    remove(draft)
    draft.mkdir(parents=True)
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = draft / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    remove(target)
    draft.rename(target)
