"""Claims jobs, one at a time, and sees to it that each claim ends in a state from which somebody can go on."""

import asyncio
import contextlib
from typing import Any

import structlog
from sqlalchemy import Row

from libs.contracts.training import Job, JobKind, JobState
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry import tracing
from libs.kit.telemetry.tracing import Kind, Span, Within
from libs.kit.waiting import set_within
from services.trainer.domain.machine import LostError
from services.trainer.repository import jobs
from services.trainer.running.child import DeadError
from services.trainer.running.context import Attempt, Context
from services.trainer.running.endings import Endings
from services.trainer.running.hearing import StoppedError
from services.trainer.running.hold import Hold, Reason
from services.trainer.running.measuring import Measuring
from services.trainer.running.recorder import Recorder
from services.trainer.running.space import remove
from services.trainer.running.store import is_no_room
from services.trainer.running.training import Training

log = structlog.get_logger(__name__)


class Runner:
    """The worker of one trainer."""

    def __init__(self, context: Context, *, wake: asyncio.Event) -> None:
        """Prepare; `wake` is set when there may be a job to do."""
        self._context = context
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self._hold: Hold | None = None
        self._stopping = False

    def start(self) -> None:
        """Work in the background until `stop`."""
        self._task = asyncio.create_task(self._keep(), name="runner")

    async def stop(self) -> None:
        """Have the running process write its checkpoint, put its job back, and end."""
        self._stopping = True
        self._wake.set()
        if self._hold is not None:
            self._hold.end(Reason.STOPPING)
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._context.settings.stop_timeout_s * 2):
                    await asyncio.wait({self._task})
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def changed(self, job: Job) -> None:
        """A job came into another state, here or elsewhere."""
        hold = self._hold
        if hold is not None and hold.job.id == job.id and (job.state, job.epoch) != (hold.job.state, hold.job.epoch):
            hold.nudge()
        if job.state is JobState.QUEUED:
            self._wake.set()

    async def work(self) -> bool:
        """Carry out one job if there is one; whether there was.

        Raises:
            ServiceError: the database is away.
        """
        asked_s = clock.monotonic_s()
        settings = self._context.settings
        async with self._context.database.begin() as connection:
            expired = await jobs.requeue_expired(connection)
            row = await jobs.claim(connection, self._context.instance, settings.lease_s)
        if expired or row is not None:
            self._context.told.set()
        if row is None:
            return False
        job = jobs.job_of(row)
        hold = Hold(self._context.database, job, settings.lease_s, self._context.told, asked_s)
        self._hold = hold
        if self._stopping:
            hold.end(Reason.STOPPING)
        log.info("job claimed", job=job.id, kind=job.kind, epoch=job.epoch)
        hold.start()
        try:
            await self._carry_out(hold, row)
        finally:
            self._hold = None
            await hold.stop()
        return True

    async def _carry_out(self, hold: Hold, row: Row[Any]) -> None:
        settings, job = self._context.settings, hold.job
        recorder = Recorder(hold, self._context.tell, pause_s=settings.report_s, keep_lines=settings.log_lines)
        endings = Endings(self._context, hold, recorder, deaths=row.deaths, death_step=row.death_step)
        recorder.start()
        directory = None
        try:
            directory = await asyncio.to_thread(self._context.space.begin, job.id, job.epoch)
            attempt = Attempt(self._context, hold, directory, recorder, row.intended)
            try:
                with Within(_span(job)):
                    await self._attempt(attempt, row)
            finally:
                await attempt.shelf.release()
        except StoppedError:
            await endings.stopped()
        except DeadError as error:
            await endings.died(error)
        except LostError as error:
            await endings.lost(error)
        except Exception as error:  # noqa: BLE001 - whatever it is ends this job and not the queue; it is logged there
            await endings.failed(_typed(error))
        finally:
            await recorder.stop()
            if directory is not None and hold.reason is None:
                await asyncio.to_thread(remove, directory)

    async def _attempt(self, attempt: Attempt, row: Row[Any]) -> None:
        """Work until it is done, or until the hold says that it must not go on."""
        hold, settings = attempt.hold, self._context.settings
        work = asyncio.create_task(_work(attempt, row), name=f"job-{hold.job.id}")
        ended = asyncio.create_task(hold.ended.wait())
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and hold.reason is not Reason.LOST and attempt.can_end_well():
                stopping = hold.reason is Reason.STOPPING or self._stopping
                await asyncio.wait({work}, timeout=settings.stop_timeout_s if stopping else settings.pause_timeout_s)
        finally:
            ended.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if work.cancelled():
            raise LostError("the work was broken off") if hold.reason is Reason.LOST else StoppedError
        work.result()

    async def _keep(self) -> None:
        trouble = ""
        while not self._stopping:
            self._wake.clear()
            busy = False
            try:
                busy = await self.work()
                trouble = ""
            except ServiceError as error:
                if error.code != trouble:
                    log.warning("no job for now", code=error.code, reason=error.message)
                trouble = error.code
            except Exception:
                # A fault in one round must not end them all.
                log.exception("round failed")
            if not busy and not self._stopping:
                await set_within(self._wake, self._context.settings.look_s)


def _span(job: Job) -> Span | None:
    """Of one attempt, below whatever had the job queued, if this process knows that and it is recorded."""
    span = tracing.begin(f"{job.kind.value} job", Kind.INTERNAL, jobs.CAUSES.of(job.id))
    if span is not None:
        span.set({names.JOB: job.id, names.ATTEMPT: job.epoch})
    return span


async def _work(attempt: Attempt, row: Row[Any]) -> None:
    job = attempt.hold.job
    if job.kind is JobKind.TRAINING and job.training is not None:
        await Training(attempt, job.training, row.checkpoint).run()
    elif job.evaluation is not None:
        await Measuring(attempt, job.evaluation).run()


def _typed(error: Exception) -> ServiceError:
    """A failure with one of our codes."""
    if is_no_room(error):
        return ServiceError("disk_full", f"There is no room left on the trainer's disk: {error}")
    if isinstance(error, ServiceError):
        return error
    log.error("job failed", exc_info=error)
    return ServiceError("internal_error", f"The trainer failed ({type(error).__name__}); its log says why.")
