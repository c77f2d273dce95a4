"""Looks on while a job is carried out; to stop looking does not stop the job."""

from typing import Any

import typer

from cli import following, show, ui
from cli.following import Seen
from cli.training import tables
from cli.training.rest import RestTrainer
from cli.training.session import with_trainer
from libs.contracts.training import ENDED, Job, JobRef, JobState


def order(operation: str, request: Any, *, detach: bool, as_json: bool) -> None:
    """Order a job and, unless `detach`, follow it to its end; status 1 if it does not end well."""

    async def work(trainer: RestTrainer) -> Job:
        job: Job = await trainer.call(operation, request)
        if detach:
            return job
        if not as_json:
            ui.say(f"  [dim]{job.id}; to stop looking does not stop it[/dim]")
        return await followed(trainer, job)

    job = with_trainer(work)
    if as_json:
        show.emit(job)
    elif detach:
        ui.say(f"{ui.WELL} {job.id} is {job.state.value}  [dim]see: ./llmos jobs show {job.id}[/dim]")
    else:
        tables.outcome(job)
    raise typer.Exit(0 if tables.is_well(job) else 1)


async def followed(trainer: RestTrainer, job: Job) -> Job:
    """The job when it has ended or is paused.

    Raises:
        ServiceError: nobody could say for too long.
    """

    async def again() -> Job:
        found: Job = await trainer.call("job_show", JobRef(job.id))
        return found

    return await following.followed(
        job, again=again, is_over=lambda found: found.state in ENDED or found.state is JobState.PAUSED, seen=_seen
    )


def _seen(job: Job) -> Seen:
    progress = job.progress
    loss = "" if progress.loss is None else f"loss {progress.loss:.3f}  "
    speed = f"{progress.tokens_per_s:.0f} tokens/s  " if progress.tokens_per_s else ""
    left = "" if progress.eta_s is None else f"{progress.eta_s:.0f} s left  "
    note = loss + speed + left + show.short(progress.note or job.error)
    return Seen(job.state.value, progress.step, progress.steps, note)
