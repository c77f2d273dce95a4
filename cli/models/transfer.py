"""`models push` and `models pull`: directories in Hugging Face layout, there and back."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli import ui
from cli.models import show
from cli.models.bars import Bars
from cli.models.rest import RestRegistry
from cli.models.session import AUTHOR, with_registry
from deploy.local.errors import StackError
from libs.contracts.registry import Fetch, FetchVersion, Kind, Lineage, Resolve, SetAlias, Version
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.fetch import FetchOptions, fetch_version
from libs.kit.publish import Description, publish, scan

_KIND_OF: Final = {"adapter_config.json": Kind.ADAPTER, "config.json": Kind.MODEL}


def push(  # noqa: PLR0913 - one per option
    directory: Annotated[Path, typer.Argument(help="A directory in Hugging Face layout.")],
    name: Annotated[str, typer.Argument(help="Name that the version belongs to.")],
    *,
    kind: Annotated[Kind | None, typer.Option(help="Else seen from the files.")] = None,
    base: Annotated[str, typer.Option(metavar="REF", help="The model that it was made from.")] = "",
    job: Annotated[str, typer.Option(help="Lineage: the job that made it.")] = "",
    dataset: Annotated[str, typer.Option(metavar="REF", help="Lineage: the data set it was trained on.")] = "",
    code: Annotated[str, typer.Option(metavar="COMMIT", help="Lineage: the code that made it.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX expression.")] = "",
    metric: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER; may be repeated.")] = None,
    note: Annotated[list[str] | None, typer.Option(help="NAME=TEXT, kept with it; may be repeated.")] = None,
    alias: Annotated[str, typer.Option(help="An alias to point to it afterwards.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Publish a directory as an immutable version; repeated after a failure, it goes on where it stopped."""
    metrics = dict(_metric(text) for text in metric or ())
    annotations = dict(_note(text) for text in note or ())
    chosen = kind or _kind_of(directory)
    if chosen is Kind.ADAPTER and not base:
        raise typer.BadParameter("an adapter needs the model it belongs to", param_hint="--base")
    bars = Bars()

    async def work(registry: RestRegistry) -> Version:
        description = Description(
            name=name,
            kind=chosen,
            base=await _full(registry, base) if base else "",
            lineage=Lineage(job=job, dataset=await _full(registry, dataset) if dataset else "", code=code),
            metrics=metrics,
            licence=licence,
            annotations=annotations,
        )
        version = await publish(registry, scan(directory, description, progress=bars.show), AUTHOR, progress=bars.show)
        if alias:
            target = full_reference(version.name, version.digest)
            await registry.call("alias_set", SetAlias(name=name, alias=alias, target=target, author=AUTHOR))
        return version

    with bars:
        version = with_registry(work)
    if as_json:
        show.emit(version)
        return
    sent = bars.totals.get("upload", 0)
    told = f"{show.size(sent)} sent" if sent else "nothing had to be sent"
    ui.say(
        f"{ui.WELL} {version.reference}  [dim]number {version.number}, {show.size(version.size_bytes)}, {told}[/dim]"
    )
    if alias:
        ui.say(f"{ui.WELL} {name}@{alias} points to it")


def pull(
    reference: Annotated[str, typer.Argument(metavar="REF", help="For example helpdesk@champion.")],
    directory: Annotated[Path, typer.Argument(help="Where to; must not exist, or be empty.")],
) -> None:
    """Fetch a version into a directory; every byte is checked, and nothing is there until all of it is."""
    check_empty(directory)
    bars = Bars()
    with bars:
        found = with_registry(lambda registry: fetch(registry, reference, directory, bars))
    total = sum(file.size_bytes for file in found.manifest.files)
    ui.say(f"{ui.WELL} {full_reference(found.manifest.name, found.digest)}  [dim]{show.size(total)}[/dim]")
    ui.say(f"  in {directory}")


async def fetch(registry: RestRegistry, reference: str, directory: Path, bars: Bars) -> Fetch:
    """Bring a version to `directory`, all of it or nothing; what it was.

    Raises:
        ServiceError: as `libs.kit.fetch.fetch_version`.
    """
    first: Fetch = await registry.call("version_fetch", FetchVersion(reference))
    # By digest from here on: an alias may move while this goes on.
    pinned = full_reference(first.manifest.name, first.digest)

    async def ask(skip: int) -> Fetch:
        page: Fetch = await registry.call("version_fetch", FetchVersion(pinned, skip))
        return page

    await fetch_version(
        ask,
        directory,
        digest=first.digest,
        progress=lambda done, total: bars.show("download", done, total),
        options=FetchOptions(read_only=False),
    )
    return first


def check_empty(directory: Path) -> None:
    """Before anything is asked or fetched.

    Raises:
        StackError: there is something already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StackError(f"{directory} is there already.", "Name a directory that is empty or does not exist.")


async def _full(registry: RestRegistry, reference: str) -> str:
    details = await registry.call("version_show", Resolve(reference))
    return full_reference(details.version.name, details.version.digest)


def _kind_of(directory: Path) -> Kind:
    if not directory.is_dir():
        raise ServiceError("not_found", f"There is no directory {directory}.")
    for file, kind in _KIND_OF.items():
        if (directory / file).is_file():
            return kind
    raise typer.BadParameter(
        f"{directory} has neither config.json nor adapter_config.json, so it must be said", param_hint="--kind"
    )


def _metric(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        if name:
            return name, float(value)
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is not NAME=NUMBER", param_hint="--metric")


def _note(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=TEXT", param_hint="--note")
    return name, value
