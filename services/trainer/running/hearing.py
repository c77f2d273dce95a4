"""What every process says in common: progress and log lines are written down, a failure is raised."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from libs.contracts.errors import ERRORS
from libs.kit.errors import ServiceError
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry.tracing import Kind, Step
from services.trainer.running.child import Child
from services.trainer.running.context import Attempt
from services.trainer.work.order import Checkpointed, Failed, Progressed, Report, Said, Started


class StoppedError(Exception):
    """The process ended because it was asked to, and what it had done is kept."""


async def hear(attempt: Attempt, child: Child) -> AsyncGenerator[Report, None]:
    """Every report but those that are dealt with here; the last is `Done` or `Stopped`.

    Raises:
        DeadError: the process died.
        ServiceError: it failed, and says why.
    """
    job = attempt.hold.job
    # Told by whoever waits for it: a process that is killed could not tell.
    with Step(f"{job.kind.value} process", Kind.INTERNAL, {names.JOB: job.id}):
        async with aclosing(_hear(attempt, child)) as reports:
            async for report in reports:
                yield report


async def _hear(attempt: Attempt, child: Child) -> AsyncGenerator[Report, None]:
    recorder, kept_step = attempt.recorder, attempt.recorder.latest.checkpoint_step
    async with aclosing(child.reports()) as reports:
        async for report in reports:
            if isinstance(report, Said):
                recorder.say(report.text)
            elif isinstance(report, Progressed):
                step = max(kept_step, report.progress.checkpoint_step)
                recorder.progress(msgspec.structs.replace(report.progress, checkpoint_step=step))
            elif isinstance(report, Failed):
                code = report.code if report.code in ERRORS else "internal_error"
                raise ServiceError(code, report.message)
            else:
                if isinstance(report, Checkpointed):
                    kept_step = report.step
                    recorder.progress(msgspec.structs.replace(recorder.latest, checkpoint_step=report.step))
                elif isinstance(report, Started):
                    recorder.say(_begins(report))
                yield report


def _begins(report: Started) -> str:
    resumed = f", goes on after step {report.resumed_step}" if report.resumed_step else ""
    return f"{report.method or 'begins'}: {report.rows} rows, {report.steps} steps{resumed}"
