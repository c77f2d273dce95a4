"""Carries out builds, one after another: the process that holds the lock claims, builds, publishes and tells."""

import asyncio
import contextlib
import shutil
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.datasets import DatasetBuilt, DatasetJob
from libs.contracts.errors import spec_of
from libs.contracts.registry import Kind
from libs.contracts.versions import digest_of, short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database, unavailable
from libs.kit.publish import Description, Options, Scan, publish, scan
from libs.kit.registry_client import Registry
from libs.kit.settings import PostgresSettings
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Step, Unrecorded, Within
from libs.kit.waiting import set_within
from services.feedback.datasets import jobs
from services.feedback.datasets.builder import reports
from services.feedback.datasets.order import DATA, ROW_IDS, Done, Failed, Progress

log = structlog.get_logger(__name__)

_PREFIX: Final = "build-"
_MOST_ERROR: Final = 2_000


class _StoppedError(Exception):
    """The job was cancelled, or somebody else has it now."""


class _ErasedError(Exception):
    """A row that was read has been erased since."""


@dataclass(kw_only=True)
class Runner:
    """Several processes may have one; an advisory lock says whose works.

    For a moment two may both believe that they hold it. A build is a pure function of its rows and every change of a
    job's state says from which state, so that the second comes to the same digest and announces nothing.
    """

    database: Database
    settings: PostgresSettings
    registry: Registry
    directory: Path | None
    """Where builds are written until they are published, a few times the size of the text; nobody else's. None: where
    the system keeps temporary files."""
    pause_s: float
    wake: asyncio.Event
    """Set when a build is ordered or cancelled here."""
    told: asyncio.Event
    """Set by this when there is an event in the outbox."""
    _task: "asyncio.Task[None] | None" = None
    _lock: AsyncConnection | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def start(self) -> None:
        """Work in the background until `stop`."""
        self._task = asyncio.create_task(self._keep(), name="datasets")

    async def stop(self) -> None:
        """Stop; what was being built is begun again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._release()

    async def work(self) -> bool:
        """Carry out one build if this process leads and there is one; whether it did.

        Raises:
            ServiceError: something that it stands on is away; the build is begun again later.
        """
        if not await self._leads():
            return False
        async with self.database.begin() as connection:
            claimed = await jobs.claim(connection)
        if claimed is None:
            return False
        job = claimed.job
        log.info("builds a data set", job=job.id, name=job.selection.name, shape=job.selection.shape)
        await asyncio.to_thread(self._clear)
        directory = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self.directory, prefix=_PREFIX))
        try:
            # Below whatever ordered it, if this process knows that and it is recorded.
            with Within(tracing.begin("dataset job", tracing.Kind.INTERNAL, jobs.CAUSES.of(job.id))):
                await self._carry_out(claimed, directory)
        except _StoppedError:
            log.info("build was called off", job=job.id)
        except _ErasedError:
            log.info("rows were erased during the build; it begins again", job=job.id)
        except ServiceError as error:
            await self._note(job, error)
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        return True

    async def _carry_out(self, claimed: jobs.Claimed, directory: Path) -> None:
        job = claimed.job
        done = await self._build(job, directory)
        found = await asyncio.to_thread(scan, directory / DATA, _description(job))
        digest = digest_of(found.manifest)
        reference = short_reference(job.selection.name, digest)
        await self._set(job, ("running",), counts=done.counts, digest=digest, rows_read=done.rows_read)
        if claimed.dry_run:
            await self._set(job, ("running",), state="succeeded")
            return
        await self._record(job, reference, directory / DATA / ROW_IDS)
        try:
            await self._publish(claimed, found)
        except BaseException as error:
            if isinstance(error, ServiceError) and not spec_of(error.code).retryable:
                async with self.database.begin() as connection:
                    await jobs.forget_rows(connection, reference)
            raise
        await self._finish(job, reference)

    async def _build(self, job: DatasetJob, directory: Path) -> Done:
        # Told by whoever waits for it: a process that is killed could not tell.
        with Step("dataset process", tracing.Kind.INTERNAL, {names.JOB: job.id}):
            return await self._hear(job, directory)

    async def _hear(self, job: DatasetJob, directory: Path) -> Done:
        async with aclosing(reports(job.selection, directory, self.settings)) as heard:
            async for report in heard:
                if isinstance(report, Done):
                    return report
                if isinstance(report, Failed):
                    if report.counts:
                        await self._set(job, ("running",), counts=report.counts)
                    raise ServiceError(report.code, report.message)
                with Unrecorded():
                    await self._show(job, report)
        raise ServiceError("internal_error", "The process that builds data sets ended without a result.")

    async def _show(self, job: DatasetJob, report: Progress) -> None:
        await self._set(
            job, ("running",), rows_read=report.rows_read, rows_total=report.rows_total, counts=report.counts
        )

    async def _record(self, job: DatasetJob, reference: str, row_ids: Path) -> None:
        """Before anything is published, so that an erasure always learns of the version."""
        async with self.database.begin() as connection:
            await _or_stop(await jobs.change(connection, job.id, only=("running",), state="publishing"))
            if not await jobs.record_rows(connection, reference, row_ids):
                raise _ErasedError

    async def _publish(self, claimed: jobs.Claimed, found: Scan) -> None:
        job = claimed.job
        # The words in it are the tenant's, whoever has ordered it.
        options = Options(tenant=claimed.tenant, owner=job.selection.tenant)
        pause_s = self.pause_s
        while True:
            try:
                await publish(self.registry, found, job.author, options=options)
            except ServiceError as error:
                if not spec_of(error.code).retryable:
                    raise
                log.warning("not published yet", job=job.id, code=error.code, reason=error.message)
                await self._set(job, ("publishing",), error=error.message[:_MOST_ERROR])
                await asyncio.sleep(pause_s)
                pause_s = min(30.0, pause_s * 2)
            else:
                return

    async def _finish(self, job: DatasetJob, reference: str) -> None:
        async with self.database.begin() as connection:
            values: dict[str, Any] = {"state": "succeeded", "reference": reference, "error": ""}
            await _or_stop(await jobs.change(connection, job.id, only=("publishing",), **values))
            now = await jobs.find(connection, job.id)
            if now is None:
                raise _StoppedError
            await jobs.announce(connection, DatasetBuilt(id=clock.new_event_id(), time_ms=clock.unix_ms(), job=now))
        self.told.set()
        log.info("data set published", job=job.id, reference=reference)

    async def _set(self, job: DatasetJob, only: tuple[str, ...], **values: Any) -> None:
        async with self.database.begin() as connection:
            await _or_stop(await jobs.change(connection, job.id, only=only, **values))

    async def _note(self, job: DatasetJob, error: ServiceError) -> None:
        """A failure that will not mend ends the job; any other is for the next round."""
        if spec_of(error.code).retryable:
            raise error
        if not await self._leads():
            # Whoever leads now has begun it again and removed our files; that is no failure of the job's.
            return
        log.warning("build failed", job=job.id, code=error.code, reason=error.message)
        async with self.database.begin() as connection:
            text_of = f"{error.code}: {error.message}"[:_MOST_ERROR]
            await jobs.change(connection, job.id, only=jobs.UNFINISHED, state="failed", error=text_of)

    async def _leads(self) -> bool:
        """Whether this process holds the lock, on a connection that still lives; takes it if it is free."""
        held = self._lock is not None
        try:
            if self._lock is None:
                self._lock = await self._stack.enter_async_context(self.database.connect())
            question = "select true" if held else "select pg_try_advisory_lock(:key)"
            with unavailable():
                answer = await self._lock.execute(text(question), {} if held else {"key": jobs.LEADER_KEY})
            leads = bool(answer.scalar())
        except BaseException:
            await self._release()
            raise
        if not leads:
            await self._release()
        return leads

    async def _release(self) -> None:
        self._lock = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        # A connection that is broken cannot be closed in an orderly way, and need not be.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await stack.aclose()

    def _clear(self) -> None:
        """Remove what a killed process left behind; only the leader builds, so nothing of it is in use."""
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        for left in self.directory.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    async def _keep(self) -> None:
        trouble = ""
        while True:
            self.wake.clear()
            try:
                busy = await self.work()
                trouble = ""
            except ServiceError as error:
                busy = False
                if error.code != trouble:
                    log.warning("no build for now", code=error.code, reason=error.message)
                trouble = error.code
            except Exception:
                # A fault in one round must not end them all.
                busy = False
                log.exception("build round failed")
            if not busy:
                await set_within(self.wake, self.pause_s)


def _description(job: DatasetJob) -> Description:
    """Without the job: the same selection over the same rows is the same version."""
    return Description(
        name=job.selection.name,
        kind=Kind.DATASET,
        annotations={"shape": job.selection.shape.value, "tenant": job.selection.tenant},
    )


async def _or_stop(changed: bool) -> None:  # noqa: FBT001 - what the statement before it found
    if not changed:
        raise _StoppedError
