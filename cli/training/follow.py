"""Looks on while a job is carried out; to stop looking does not stop the job."""

import asyncio
from typing import Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli import show, ui
from cli.training import tables
from cli.training.rest import RestTrainer
from cli.training.session import with_trainer
from libs.contracts.training import ENDED, Job, JobRef, JobState
from libs.kit.errors import ServiceError

_LOOK_EVERY_S: Final = 0.5
_PATIENCE: Final = 100
"""Looks in a row that may fail: services restart."""


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
    bar = Progress(
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), console=ui.err, transient=True, disable=not ui.err.is_terminal,
    )  # fmt: skip
    failures = 0
    with bar:
        task = bar.add_task(job.state, total=None, note="")
        while job.state not in ENDED and job.state is not JobState.PAUSED:
            _show(bar, task, job)
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                job = await trainer.call("job_show", JobRef(job.id))
                failures = 0
            except ServiceError as error:
                failures += 1
                if not error.spec.retryable or failures > _PATIENCE:
                    raise
    return job


def _show(bar: Progress, task: TaskID, job: Job) -> None:
    progress = job.progress
    loss = "" if progress.loss is None else f"loss {progress.loss:.3f}  "
    speed = f"{progress.tokens_per_s:.0f} tokens/s  " if progress.tokens_per_s else ""
    left = "" if progress.eta_s is None else f"{progress.eta_s:.0f} s left  "
    note = loss + speed + left + show.short(progress.note or job.error)
    bar.update(task, description=job.state.value, completed=progress.step, total=progress.steps or None, note=note)
