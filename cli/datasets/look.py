"""`datasets list|show|diff|export`."""

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markdown import Markdown

from cli import show, ui
from cli.datasets import contents, tables
from cli.feedback.rest import RestFeedback
from cli.feedback.session import with_feedback
from cli.models.bars import Bars
from cli.models.rest import RestRegistry
from cli.models.session import with_registry
from cli.models.transfer import check_empty, fetch
from libs.contracts.datasets import DatasetJob, JobId, JobList, ListJobs
from libs.contracts.registry import Fetch, Kind, ListVersions, Resolve, VersionDetails, VersionPage
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Reference = Annotated[str, typer.Argument(metavar="REF", help="NAME (its newest), NAME@NUMBER, NAME@sha256:DIGEST.")]
_JOB: Final = "job_"


def list_jobs(
    *, limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20, as_json: Json = False
) -> None:
    """List builds, newest first; published ones have a reference."""

    async def work(feedback: RestFeedback) -> JobList:
        found: JobList = await feedback.call("dataset_list", ListJobs(limit))
        return found

    found = with_feedback(work).jobs
    if as_json:
        show.emit(found)
    else:
        tables.jobs(found)


def show_one(
    what: Annotated[str, typer.Argument(metavar="JOB|REF", help="A build, or a published version.")],
    *,
    as_json: Json = False,
) -> None:
    """Show how far a build is, or what a published data set is made of."""
    if what.startswith(_JOB):
        _show_job(what, as_json=as_json)
        return

    async def work(registry: RestRegistry) -> VersionDetails:
        details: VersionDetails = await registry.call("version_show", Resolve(await _pinned(registry, what)))
        return details

    details = with_registry(work)
    if as_json:
        show.emit(details)
        return
    version = details.version
    show.facts(
        (
            ("Reference", version.reference),
            ("Digest", f"sha256:{version.digest}"),
            ("Number", str(version.number)),
            ("Size", show.size(version.size_bytes)),
            ("Published", f"{show.when(version.published_ms)} by {show.plain(version.published_by)}"),
            ("Aliases", ", ".join(version.aliases)),
            ("Files", ", ".join(file.path for file in details.manifest.files)),
        )
    )
    ui.out.print(Markdown(show.unmarked(details.card)))


def export(
    reference: Reference,
    directory: Annotated[Path, typer.Argument(help="Where to; must not exist, or be empty.")],
) -> None:
    """Fetch a published data set; every byte is checked, and nothing is there until all of it is."""
    check_empty(directory)
    bars = Bars()
    with bars:
        found = with_registry(lambda registry: _fetch(registry, reference, directory, bars))
    ui.say(f"{ui.WELL} {full_reference(found.manifest.name, found.digest)}")
    ui.say(f"  in {directory}: {', '.join(file.path for file in found.manifest.files)}")


def diff(first: Reference, second: Reference, *, as_json: Json = False) -> None:
    """Show what one data set has that another has not: the selection, the counts of each step, the rows."""
    bars = Bars()

    async def work(registry: RestRegistry) -> contents.Difference:
        with tempfile.TemporaryDirectory(prefix="llmos-diff-") as folder:
            sides = []
            for number, reference in enumerate((first, second)):
                place = Path(folder) / str(number)
                found = await _fetch(registry, reference, place, bars)
                sides.append(contents.read(place, full_reference(found.manifest.name, found.digest)))
            return contents.compare(*sides)

    with bars:
        found = with_registry(work)
    if as_json:
        show.emit(found)
    else:
        contents.tell(found)


def _show_job(ident: str, *, as_json: bool) -> None:
    async def work(feedback: RestFeedback) -> DatasetJob:
        found: DatasetJob = await feedback.call("dataset_show", JobId(ident))
        return found

    found = with_feedback(work)
    if as_json:
        show.emit(found)
    else:
        tables.job(found)


async def _fetch(registry: RestRegistry, reference: str, directory: Path, bars: Bars) -> Fetch:
    pinned = await _pinned(registry, reference)
    details: VersionDetails = await registry.call("version_show", Resolve(pinned))
    if details.version.kind is not Kind.DATASET:
        text = f"{details.version.reference} is a {details.version.kind.value}, not a data set."
        raise ServiceError("invalid_value", f"{text} For those: ./llmos models")
    return await fetch(registry, pinned, directory, bars)


async def _pinned(registry: RestRegistry, reference: str) -> str:
    """A reference to one version; a bare name is its newest data set, for nobody need have named a champion.

    Raises:
        ServiceError: `version_not_found`, there is none.
    """
    if "@" in reference:
        return reference
    page: VersionPage = await registry.call("version_list", ListVersions(name=reference, kind=Kind.DATASET, limit=1))
    if not page.versions:
        raise ServiceError("version_not_found", f"There is no data set {show.unmarked(reference)!r}.")
    return page.versions[0].reference
