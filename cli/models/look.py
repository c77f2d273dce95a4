"""The reading verbs: `models list|show|aliases|deployments|verify`."""

from typing import Annotated

import typer
from rich.markdown import Markdown

from cli import ui
from cli.models import show
from cli.models.rest import RestRegistry
from cli.models.session import with_registry
from libs.contracts.registry import (
    DeploymentList,
    FindDeployments,
    Kind,
    ListAliases,
    ListVersions,
    PoolName,
    Resolve,
    Verification,
    Verify,
    Version,
    VersionDetails,
    VersionPage,
)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Reference = Annotated[str, typer.Argument(metavar="REF", help="NAME, NAME@ALIAS, NAME@NUMBER or NAME@sha256:DIGEST.")]
_PAGE = 100


def list_versions(
    name: Annotated[str, typer.Argument(help="Only versions of this name.")] = "",
    *,
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = _PAGE,
    as_json: Json = False,
) -> None:
    """List versions, newest first."""

    async def work(registry: RestRegistry) -> tuple[list[Version], bool]:
        found: list[Version] = []
        before = ""
        while len(found) < limit:
            page: VersionPage = await registry.call(
                "version_list",
                ListVersions(name=name, kind=kind, before=before, limit=min(_PAGE, limit - len(found))),
            )
            found += page.versions
            before = page.next
            if not before:
                break
        return found, bool(before)

    found, more = with_registry(work)
    if as_json:
        show.emit(found)
        return
    show.versions(found)
    if more:
        ui.say("[dim]  There are more: --limit[/dim]")


def show_version(
    reference: Reference,
    *,
    card: Annotated[bool, typer.Option("--card", help="The model card too.")] = False,
    as_json: Json = False,
) -> None:
    """Show all that a version is."""

    async def work(registry: RestRegistry) -> VersionDetails:
        details: VersionDetails = await registry.call("version_show", Resolve(reference))
        return details

    details = with_registry(work)
    if as_json:
        show.emit(details)
        return
    version, manifest = details.version, details.manifest
    lineage = manifest.lineage
    show.facts(
        (
            ("Reference", version.reference),
            ("Digest", f"sha256:{version.digest}"),
            ("Number", str(version.number)),
            ("Kind", version.kind),
            ("Size", show.size(version.size_bytes)),
            ("Published", f"{show.when(version.published_ms)} by {version.published_by}"),
            ("Aliases", ", ".join(version.aliases)),
            ("Base", manifest.base),
            ("Licence", manifest.licence),
            ("Metrics", ", ".join(f"{name} {value:g}" for name, value in sorted(manifest.metrics.items()))),
            ("Job", lineage.job),
            ("Data set", lineage.dataset),
            ("Code", lineage.code),
            ("Notes", ", ".join(f"{name}: {text}" for name, text in sorted(manifest.annotations.items()))),
        )
    )
    ui.say("")
    show.facts(
        (file.path, f"{show.size(file.size_bytes):>10}  [dim]{file.digest[:12]}[/dim]") for file in manifest.files
    )
    if card and details.card:
        ui.out.print(Markdown(details.card.removeprefix("---").partition("\n---\n")[2] or details.card))


def list_aliases(
    name: Annotated[str, typer.Argument(help="Whose aliases.")],
    *,
    history: Annotated[str, typer.Option(metavar="ALIAS", help="Every move of this one instead.")] = "",
    as_json: Json = False,
) -> None:
    """Show where the aliases of a name point, or every move of one of them."""

    async def work(registry: RestRegistry) -> None:
        found = await registry.call("alias_list", ListAliases(name, history))
        if as_json:
            show.emit(found.aliases)
        else:
            show.aliases(found.aliases)

    with_registry(work)


def list_deployments(
    pool: Annotated[str, typer.Argument(help="Only this pool.")] = "", *, as_json: Json = False
) -> None:
    """Show what pools are to serve, and how far their workers are."""

    async def work(registry: RestRegistry) -> DeploymentList:
        if pool:
            return DeploymentList((await registry.call("deployment_show", PoolName(pool)),))
        found: DeploymentList = await registry.call("deployment_list", FindDeployments())
        return found

    found = with_registry(work).deployments
    if as_json:
        show.emit(found)
    else:
        show.deployments(found)


def verify(reference: Reference, *, as_json: Json = False) -> None:
    """Have the registry read every byte of a version back; status 1 if any is missing, wrong or misstated."""

    async def work(registry: RestRegistry) -> Verification:
        result: Verification = await registry.call("version_verify", Verify(reference))
        return result

    with ui.err.status("reading back", spinner="dots"):
        result = with_registry(work)
    if as_json:
        show.emit(result)
    else:
        _tell(result)
    raise typer.Exit(1 if result.bad or result.misstated else 0)


def _tell(found: Verification) -> None:
    if found.bad:
        bad = "\n  ".join(found.bad)
        ui.fail(f"{len(found.bad)} of {found.blobs} blobs are missing or wrong:\n  {bad}", "Push the version again.")
    if found.misstated:
        misstated = "\n  ".join(found.misstated)
        ui.fail(
            f"Of {len(found.misstated)} of {found.blobs} blobs the manifest states another BLAKE3:\n  {misstated}",
            "Nobody can load this version; push its files again, which makes another one.",
        )
    if not (found.bad or found.misstated):
        ui.say(f"{ui.WELL} {found.blobs} blobs, {show.size(found.size_bytes)}: all as published")
