"""The calls about data sets, and the worker behind them."""

import asyncio
import re
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.calls import Empty
from libs.contracts.datasets import BuildDataset, DatasetJob, JobId, JobList, ListJobs
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.registry_client import Registry
from libs.kit.selections import check_selection
from libs.kit.serving import Operation
from libs.kit.settings import PostgresSettings
from services.feedback.datasets import jobs
from services.feedback.datasets.runner import Runner
from services.feedback.datasets.select import pinned

_MOST_JOBS: Final = 500
_ID: Final = re.compile(r"job_[0-9a-f]{24}")


class Datasets:
    """Orders, shows and cancels builds; carries them out where this process holds the lock."""

    def __init__(
        self,
        database: Database,
        settings: PostgresSettings,
        registry: Registry,
        directory: Path | None,
        *,
        told: asyncio.Event,
        pause_s: float = 1.0,
    ) -> None:
        """Prepare; `told` is set whenever there are events to send."""
        self._database = database
        self._wake = asyncio.Event()
        self._runner = Runner(
            database=database,
            settings=settings,
            registry=registry,
            directory=directory,
            pause_s=pause_s,
            wake=self._wake,
            told=told,
        )

    def operations(self) -> dict[str, Operation]:
        """What the contract calls each use case."""
        return {
            "dataset_build": self.build,
            "dataset_show": self.show,
            "dataset_list": self.list,
            "dataset_cancel": self.cancel,
        }

    def start(self) -> None:
        """Carry out builds in the background."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop; unfinished builds are begun again later."""
        await self._runner.stop()

    async def build(self, request: BuildDataset) -> DatasetJob:
        """Order a build; it sees what was recorded before now, or before the selection's own end.

        A repeat with the same id gives the same build, with the end that was fixed then.

        Raises:
            ServiceError: `invalid_value`, `missing_field`, `storage_unavailable`.
        """
        if request.tenant and request.selection.tenant != request.tenant:
            raise ServiceError("not_found", "There is no such tenant.", param="selection.tenant")
        known = await self._known(request.id)
        if known is not None:
            if request.tenant and known.selection.tenant != request.tenant:
                raise ServiceError("conflict", f"The id {request.id} is taken; choose another one.", param="id")
            return known
        check_selection(request.selection)
        now_ms = clock.unix_ms()
        job = DatasetJob(
            id=request.id or f"job_{clock.new_request_id()}",
            state="queued",
            selection=pinned(request.selection, now_ms),
            author=request.author,
            created_ms=now_ms,
        )
        async with self._database.begin() as connection:
            job = await jobs.add(connection, job, dry_run=request.dry_run, tenant=request.tenant)
        self._wake.set()
        return job

    async def _known(self, job_id: str) -> DatasetJob | None:
        if not job_id:
            return None
        if _ID.fullmatch(job_id) is None:
            raise ServiceError("invalid_value", "`id` must be `job_` and 24 hex digits.", param="id")
        async with self._database.begin() as connection:
            return await jobs.find(connection, job_id)

    async def show(self, request: JobId) -> DatasetJob:
        """One build and how far it is.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            return await _found(connection, request)

    async def list(self, request: ListJobs) -> JobList:
        """The newest builds.

        Raises:
            ServiceError: `invalid_value`, `storage_unavailable`.
        """
        if not 1 <= request.limit <= _MOST_JOBS:
            raise ServiceError("invalid_value", f"limit must be from 1 to {_MOST_JOBS}.", param="limit")
        async with self._database.begin() as connection:
            return JobList(await jobs.newest(connection, request.limit, request.tenant))

    async def cancel(self, request: JobId) -> Empty:
        """Call a build off, unless it is being published already; again does no harm.

        Raises:
            ServiceError: `not_found`; `conflict`, it has ended or is being published; `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            await _found(connection, request)
            if not await jobs.change(connection, request.id, only=("queued", "running"), state="cancelled"):
                job = await _found(connection, request)
                if job.state != "cancelled":
                    raise ServiceError(
                        "conflict", f"The build {job.id} is {job.state}; it cannot be cancelled any more."
                    )
        self._wake.set()
        return Empty()


async def _found(connection: AsyncConnection, request: JobId) -> DatasetJob:
    """The build, if who asks may see it."""
    job = await jobs.find(connection, request.id) if "\0" not in request.id else None
    if job is not None and request.tenant in ("", job.selection.tenant):
        return job
    raise ServiceError("not_found", f"There is no build {msgspec.json.encode(request.id[:80]).decode()}.", param="id")
