"""Looking at jobs, and pausing, resuming and cancelling them."""

import asyncio
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.training import FindJobs, Job, JobLog, JobPage, JobRef, JobState, ReadLog
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.trainer.domain.machine import wish
from services.trainer.repository import jobs, log

_MOST_JOBS: Final = 500
_MOST_LINES: Final = 1_000
_MOST_ID: Final = 80


class Steering:
    """What people do with jobs; whoever holds one learns it from the event, and by its next renewal at the latest."""

    def __init__(self, database: Database, *, wake: asyncio.Event, told: asyncio.Event) -> None:
        """Prepare; `wake` is set when there is a job to do, `told` when there is an event to send."""
        self._database = database
        self._wake = wake
        self._told = told

    async def list(self, request: FindJobs) -> JobPage:
        """Jobs, newest first.

        Raises:
            ServiceError: `invalid_value`, `storage_unavailable`.
        """
        if not 1 <= request.limit <= _MOST_JOBS:
            raise ServiceError("invalid_value", f"limit must be from 1 to {_MOST_JOBS}.", param="limit")
        if request.before and not (request.before.isascii() and request.before.isdigit() and len(request.before) < 19):
            raise ServiceError("invalid_value", "before must be `next` of another page.", param="before")
        async with self._database.begin() as connection:
            rows = await jobs.page(connection, request, int(request.before) if request.before else None)
        shown = rows[: request.limit]
        return JobPage(
            jobs=tuple(jobs.job_of(row) for row in shown),
            next=str(shown[-1].sequence) if len(rows) > request.limit else "",
        )

    async def show(self, request: JobRef) -> Job:
        """One job.

        Raises:
            ServiceError: `job_not_found`, `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            return jobs.job_of(await _found(connection, request))

    async def log(self, request: ReadLog) -> JobLog:
        """Lines of one job's log.

        Raises:
            ServiceError: `job_not_found`, `invalid_value`, `storage_unavailable`.
        """
        if not 1 <= request.limit <= _MOST_LINES or request.after < 0:
            raise ServiceError("invalid_value", f"limit must be from 1 to {_MOST_LINES}, after at least 0.")
        async with self._database.begin() as connection:
            await _found(connection, request)
            return JobLog(await log.read(connection, request.id, request.after, request.limit))

    async def pause(self, request: JobRef) -> Job:
        """Let nobody work on a job; whoever does writes a checkpoint and stops.

        Raises:
            ServiceError: `job_not_found`; `conflict`, it has ended or is past its training; `storage_unavailable`.
        """
        return await self._wish(request, "pause")

    async def resume(self, request: JobRef) -> Job:
        """Queue a paused job again.

        Raises:
            ServiceError: `job_not_found`; `conflict`, it is not paused; `storage_unavailable`.
        """
        return await self._wish(request, "resume")

    async def cancel(self, request: JobRef) -> Job:
        """Call a job off, and the evaluation that it has ordered; what is published stays.

        Raises:
            ServiceError: `job_not_found`; `conflict`, it has ended; `storage_unavailable`.
        """
        return await self._wish(request, "cancel")

    async def _wish(self, request: JobRef, verb: str) -> Job:
        async with self._database.begin() as connection:
            row = await _found(connection, request, lock=True)
            to = wish(row.id, JobState(row.state), verb)
            if to is not None:
                if to is JobState.CANCELLED:
                    await _cancel_family(connection, row)
                row = await jobs.put(connection, row.id, to, not_before=None)
        self._told.set()
        self._wake.set()
        return jobs.job_of(row)


async def _cancel_family(connection: AsyncConnection, row: Row[Any]) -> None:
    """An evaluation without its training is of no use, nor the other way round."""
    for child in await jobs.children(connection, row.id):
        await jobs.put(connection, child.id, JobState.CANCELLED)
    parent = await jobs.find(connection, row.parent, lock=True) if row.parent else None
    if parent is not None and parent.state == JobState.EVALUATING:
        text = f"Its evaluation {row.id} was cancelled."
        await jobs.put(connection, parent.id, JobState.CANCELLED, error=text)


async def _found(connection: AsyncConnection, wanted: JobRef | ReadLog, *, lock: bool = False) -> Row[Any]:
    """The row of a job; another tenant's is not there."""
    row = await jobs.find(connection, wanted.id, lock=lock) if "\0" not in wanted.id else None
    if row is None or wanted.tenant not in ("", row.tenant):
        raise ServiceError("job_not_found", f"There is no job {wanted.id[:_MOST_ID]!r}.", param="id")
    return row
