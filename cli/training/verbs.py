"""`jobs list|show|log|pause|resume|cancel`."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

from cli import show, ui
from cli.training import follow, tables
from cli.training.rest import RestTrainer
from cli.training.session import with_trainer
from libs.contracts.training import FindJobs, Job, JobKind, JobLog, JobPage, JobRef, JobState, LogLine, ReadLog

Ident = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_PAGE: Final = 1_000


def list_jobs(
    *,
    state: Annotated[JobState | None, typer.Option(help="Only in this state.")] = None,
    kind: Annotated[JobKind | None, typer.Option(help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: Json = False,
) -> None:
    """List trainings and evaluations, newest first."""

    async def work(trainer: RestTrainer) -> JobPage:
        page: JobPage = await trainer.call("job_list", FindJobs(state=state, kind=kind, limit=limit))
        return page

    found = with_trainer(work).jobs
    if as_json:
        show.emit(found)
    else:
        tables.jobs(found)


def show_one(job: Ident, *, as_json: Json = False) -> None:
    """Show one job, how far it is, and what came of it."""

    async def work(trainer: RestTrainer) -> Job:
        found: Job = await trainer.call("job_show", JobRef(job))
        return found

    found = with_trainer(work)
    if as_json:
        show.emit(found)
    else:
        tables.job(found)


def log(job: Ident, *, as_json: Json = False) -> None:
    """Show what a job's process said; before each line, which claim it was."""

    async def work(trainer: RestTrainer) -> tuple[LogLine, ...]:
        lines: tuple[LogLine, ...] = ()
        while True:
            after = lines[-1].number if lines else 0
            page: JobLog = await trainer.call("job_log", ReadLog(id=job, after=after, limit=_PAGE))
            lines += page.lines
            if len(page.lines) < _PAGE:
                return lines

    found = with_trainer(work)
    if as_json:
        show.emit(found)
    else:
        tables.lines(found)


def follow_one(job: Ident) -> None:
    """Look on until a job has ended; status 1 if it does not end well."""

    async def work(trainer: RestTrainer) -> Job:
        found: Job = await trainer.call("job_show", JobRef(job))
        return await follow.followed(trainer, found)

    found = with_trainer(work)
    tables.outcome(found)
    raise typer.Exit(0 if tables.is_well(found) else 1)


def _steer(verb: str, summary: str) -> Callable[[str], None]:
    def run(job: Ident) -> None:
        async def work(trainer: RestTrainer) -> Job:
            found: Job = await trainer.call(f"job_{verb}", JobRef(job))
            return found

        found = with_trainer(work)
        ui.say(f"{ui.WELL} {found.id} is {found.state.value}")

    run.__doc__ = summary
    return run


VERBS: Final = {
    "list": list_jobs,
    "show": show_one,
    "log": log,
    "follow": follow_one,
    "pause": _steer("pause", "Stop a job after a checkpoint, until it is resumed."),
    "resume": _steer("resume", "Queue a paused job again."),
    "cancel": _steer("cancel", "Call a job off; what is published already stays."),
}
