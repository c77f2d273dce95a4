"""Writes down what a process says of its job: progress and log, about once a second, under the epoch."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.training import JobProgress, JobProgressed
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.waiting import set_within
from services.trainer.domain.machine import LostError
from services.trainer.repository import jobs, log
from services.trainer.running.hold import Hold, Reason

logger = structlog.get_logger(__name__)

_MOST_WAITING: Final = 2_000
"""Lines that wait to be written; older ones are dropped first."""

Tell = Callable[[JobProgressed], None]


class Recorder:
    """Of one job while it is held."""

    def __init__(self, hold: Hold, tell: Tell, *, pause_s: float, keep_lines: int) -> None:
        """Prepare; `tell` passes progress on to whoever looks on."""
        self._hold = hold
        self._tell = tell
        self._pause_s = pause_s
        self._keep_lines = keep_lines
        self._progress: JobProgress | None = None
        self._lines: list[tuple[int, str]] = []
        self._fresh = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.latest = hold.job.progress

    def start(self) -> None:
        """Write until `stop`."""
        self._task = asyncio.create_task(self._keep(), name=f"recorder-{self._hold.job.id}")

    async def stop(self) -> None:
        """Write what is left, as far as it may still be written."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def progress(self, progress: JobProgress) -> None:
        """Note how far it is."""
        self._progress = self.latest = progress
        self._fresh.set()

    def say(self, text: str) -> None:
        """Add a line to the log."""
        self._lines.append((clock.unix_ms(), text.replace("\0", "")))
        del self._lines[:-_MOST_WAITING]
        self._fresh.set()

    async def flush(self) -> None:
        """Write now; a database that is away keeps it for the next time."""
        progress, lines = self._progress, self._lines[:]
        if (progress is None and not lines) or self._hold.reason is Reason.LOST:
            return
        try:
            async with self._hold.database.begin() as connection:
                await self._write(connection, progress, lines)
        except LostError:
            self._hold.end(Reason.LOST)
            return
        except ServiceError as error:
            logger.warning("progress not written yet", job=self._hold.job.id, reason=error.message)
            return
        del self._lines[: len(lines)]
        if progress is self._progress:
            self._progress = None

    async def _write(
        self, connection: AsyncConnection, progress: JobProgress | None, lines: list[tuple[int, str]]
    ) -> None:
        job = self._hold.job
        if progress is not None:
            await jobs.note(connection, job.id, job.epoch, progress=progress)
        if lines:
            await log.write(connection, job.id, job.epoch, lines, keep=self._keep_lines)

    async def _keep(self) -> None:
        while True:
            await set_within(self._fresh, 3_600.0)
            self._fresh.clear()
            if self._progress is not None:
                job = self._hold.job
                self._tell(JobProgressed(job=job.id, time_ms=clock.unix_ms(), epoch=job.epoch, progress=self._progress))
            await self.flush()
            await asyncio.sleep(self._pause_s)
