"""Removes from the registry what jobs that have ended needed only for their work: checkpoints, aliases."""

import structlog

from libs.contracts.registry import Kind
from libs.contracts.training import Job
from libs.kit.postgres import Database
from libs.kit.registry_client import Registry
from services.trainer.repository import jobs
from services.trainer.running.stage import Stage
from services.trainer.running.store import delete_all

log = structlog.get_logger(__name__)

_AT_ONCE = 20


class Tidying:
    """Every trainer does it, whoever worked on the job; doing it twice does no harm."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def tidy(self) -> int:
        """Look once; how many jobs were tidied up.

        Raises:
            ServiceError: the database or the registry is away.
        """
        async with self._database.begin() as connection:
            rows = await jobs.littered(connection, _AT_ONCE)
        for row in rows:
            job = jobs.job_of(row)
            await self._remove(job)
            async with self._database.begin() as connection:
                await jobs.tidied(connection, job.id)
            log.info("tidied up", job=job.id)
        return len(rows)

    async def _remove(self, job: Job) -> None:
        if job.evaluation is not None:
            stage = Stage(self._registry, job.id, job.author)
            await stage.leave((job.evaluation.candidate, job.evaluation.baseline))
            return
        await delete_all(self._registry, job.id, Kind.CHECKPOINT, job.author)
