"""`datasets build` and `datasets cancel`."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli import following, show, ui
from cli.datasets import declare, tables
from cli.feedback.rest import RestFeedback
from cli.feedback.session import AUTHOR, with_feedback
from cli.following import Seen
from libs.contracts.datasets import BuildDataset, DatasetJob, DeclaredSelection, JobId, Shape

_OVER: Final = ("succeeded", "failed", "cancelled")


def build(  # noqa: PLR0913 - one per option
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.yaml]", help="A selection; else give options.")] = None,
    *,
    name: Annotated[str, typer.Option(help="Of the data set in the registry.")] = "",
    shape: Annotated[Shape | None, typer.Option(help="What it is for.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose rows, else the key's own project's.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="ISO date or time, in UTC unless it says.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="The same; else now.")] = "",
    version: Annotated[list[str] | None, typer.Option(metavar="REF", help="Only of this model version.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag.")] = None,
    rater: Annotated[list[str] | None, typer.Option(help="Only judged by them.")] = None,
    split: Annotated[list[str] | None, typer.Option(metavar="NAME=SHARE", help="Else train=0.9 and test=0.1.")] = None,
    implicit: Annotated[bool, typer.Option("--implicit", help="Count implicit signals too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build, but publish nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is built; status 1 if it was not.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Build a data set from judged interactions and publish it; the same selection over the same rows is the same."""
    given: dict[str, Any] = {"since": since, "until": until, "model_versions": version, "tags": tag, "raters": rater}
    given |= {"splits": declare.splits(split) if split else None, "include_implicit": implicit, "seed": seed}
    options = {key: value for key, value in given.items() if value}
    if file is not None:
        if options or name or shape:
            raise typer.BadParameter("a file declares all of the selection; leave the options away", param_hint="FILE")
        wanted = declare.from_file(file)
    else:
        wanted = _from_options({"name": name, "shape": shape, "tenant": tenant, **options})

    async def work(feedback: RestFeedback) -> DatasetJob:
        request = BuildDataset(selection=wanted, author=AUTHOR, dry_run=dry_run)
        job: DatasetJob = await feedback.call("dataset_build", request)
        return await followed(feedback, job) if wait else job

    job = with_feedback(work)
    if as_json:
        show.emit(job)
    elif wait:
        tables.outcome(job)
    else:
        ui.say(f"{ui.WELL} {job.id} is {job.state}  [dim]see: ./llmos datasets show {job.id}[/dim]")
    raise typer.Exit(1 if wait and job.state != "succeeded" else 0)


def cancel(job: Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]) -> None:
    """Call a build off; what is published already stays."""

    async def work(feedback: RestFeedback) -> None:
        await feedback.call("dataset_cancel", JobId(job))

    with_feedback(work)
    ui.say(f"{ui.WELL} {show.plain(job)} is called off")


def _from_options(options: dict[str, Any]) -> DeclaredSelection:
    for needed in ("name", "shape"):
        if not options[needed]:
            raise typer.BadParameter("name a file, or give --shape and --name", param_hint=f"--{needed}")
    try:
        return declare.selection(options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


async def followed(feedback: RestFeedback, job: DatasetJob) -> DatasetJob:
    """The build when it is over; what it does meanwhile is shown. Interrupting this does not interrupt the build.

    Raises:
        ServiceError: nobody could say for too long.
    """

    async def again() -> DatasetJob:
        found: DatasetJob = await feedback.call("dataset_show", JobId(job.id))
        return found

    return await following.followed(job, again=again, is_over=lambda found: found.state in _OVER, seen=_seen)


def _seen(job: DatasetJob) -> Seen:
    last = list(job.counts.items())[-1:]
    return Seen(job.state, job.rows_read, job.rows_total, "".join(f"{rows} {name}" for name, rows in last))
