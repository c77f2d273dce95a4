"""How a claim ends: given back, failed, or left to whoever has the job now."""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.training import JobKind, JobState
from libs.kit.errors import ServiceError
from services.trainer.domain.machine import MOST_DEATHS, LostError, deaths_after
from services.trainer.repository import jobs
from services.trainer.running.child import DeadError
from services.trainer.running.context import Context
from services.trainer.running.hold import Hold, Reason
from services.trainer.running.recorder import Recorder

log = structlog.get_logger(__name__)

_MOST_ERROR = 2_000


class Endings:
    """Of one claim."""

    def __init__(self, context: Context, hold: Hold, recorder: Recorder, *, deaths: int, death_step: int) -> None:
        """Prepare; the last two are what the job's row said when it was claimed."""
        self._context = context
        self._hold = hold
        self._recorder = recorder
        self._deaths = deaths
        self._death_step = death_step

    async def stopped(self) -> None:
        """It was paused, or this process ends: what is paused stays so, anything else is queued again."""
        self._recorder.say("stopped")
        await self._recorder.flush()
        if self._hold.reason is Reason.PAUSED:
            log.info("job paused", job=self._hold.job.id)
            return
        await self._quietly(JobState.QUEUED)

    async def lost(self, error: LostError) -> None:
        """Somebody else decides; nothing is written."""
        log.info("job is not ours any more", job=self._hold.job.id, reason=str(error), why=self._hold.reason)

    async def died(self, error: DeadError) -> None:
        """The process is gone: again from the last checkpoint, unless it has died there too often."""
        if self._hold.reason is not None:
            await self.stopped()
            return
        step = self._recorder.latest.checkpoint_step
        deaths = deaths_after(self._deaths, self._death_step, step)
        how = "was killed, as the kernel does when memory is out" if error.is_killed else f"ended with {error.status}"
        text = f"The process {how} and gave no reason; {deaths} of {MOST_DEATHS} times since step {step}."
        if deaths >= MOST_DEATHS:
            await self.failed(ServiceError("out_of_memory" if error.is_killed else "internal_error", text))
            return
        self._recorder.say(text)
        await self._recorder.flush()
        await self._quietly(JobState.QUEUED, deaths=deaths, death_step=step, error=text)

    async def failed(self, error: ServiceError) -> None:
        """There will be no result; where trying again can help, the job waits for a while instead."""
        if self._hold.reason is not None:
            await self.stopped()
            return
        text = error.message[:_MOST_ERROR].replace("\0", "")
        log.warning("job failed", job=self._hold.job.id, code=error.code, reason=text)
        self._recorder.say(f"{error.code}: {text}")
        await self._recorder.flush()
        if error.spec.retryable:
            await self._quietly(JobState.QUEUED, error_code=error.code, error=text, wait=True)
            return
        await self._quietly(JobState.FAILED, error_code=error.code, error=text)

    async def _quietly(self, to: JobState, *, wait: bool = False, **values: object) -> None:
        """Write the ending; whoever has taken the job meanwhile writes its own."""
        if wait:
            values["not_before"] = jobs.later(self._context.settings.wait_s)

        async def parent(connection: AsyncConnection) -> None:
            if to is JobState.FAILED:
                await tell_parent(connection, self._hold, to, **values)

        try:
            await self._hold.move(to, parent, **values)
        except LostError as error:
            await self.lost(error)
        except ServiceError as error:
            log.warning("the ending could not be written", job=self._hold.job.id, reason=error.message)


async def tell_parent(connection: AsyncConnection, hold: Hold, state: JobState, **values: object) -> None:
    """The training that this evaluation belongs to ends as the evaluation does."""
    job = hold.job
    if job.kind is not JobKind.EVALUATION or not job.parent:
        return
    parent = await jobs.find(connection, job.parent, lock=True)
    if parent is not None and parent.state == JobState.EVALUATING:
        await jobs.put(connection, parent.id, state, **values)
