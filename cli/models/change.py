"""The changing verbs: `models alias|delete|gc|deploy|adjust`."""

import asyncio
from typing import Annotated, Final

import typer

from cli import ui
from cli.models import show
from cli.models.look import Json, Reference
from cli.models.rest import RestRegistry
from cli.models.session import AUTHOR, with_registry
from libs.contracts.registry import (
    AdjustDeployment,
    Alias,
    CollectGarbage,
    DeleteVersion,
    Deploy,
    DeploymentStatus,
    Garbage,
    ListAliases,
    PoolName,
    SetAlias,
)
from libs.contracts.versions import is_digest, short_reference
from libs.kit.clock import monotonic_s
from libs.kit.errors import ServiceError

_HOUR_S: Final = 3_600.0
_LOOK_EVERY_S: Final = 0.5
_PATIENCE_S: Final = 900.0


def move_alias(
    name: Annotated[str, typer.Argument(help="Whose alias.")],
    alias: Annotated[str, typer.Argument(help="For example champion.")],
    reference: Annotated[str, typer.Argument(metavar="REF", help="Where it is to point.")] = "",
    *,
    expect: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Only if it points to this version now; '' if it is new.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it instead.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in its history.")] = "",
) -> None:
    """Move an alias, or remove it; status 3 if it does not point where it was expected to."""
    if bool(reference) == remove:
        raise typer.BadParameter("name a version, or say --remove", param_hint="REF")
    target = reference if "@" in reference or not reference.isdigit() else f"{name}@{reference}"

    async def work(registry: RestRegistry) -> Alias:
        expected = None if expect is None else await _whole(registry, name, alias, expect)
        moved: Alias = await registry.call(
            "alias_set",
            SetAlias(name=name, alias=alias, target=target, author=AUTHOR, expected=expected, reason=reason),
        )
        return moved

    moved = with_registry(work)
    if remove:
        ui.say(f"{ui.WELL} {name}@{alias} is removed")
    else:
        ui.say(f"{ui.WELL} {name}@{alias} points to {short_reference(name, moved.digest)}")


async def _whole(registry: RestRegistry, name: str, alias: str, expect: str) -> str:
    """The whole digest behind the digits somebody typed.

    Raises:
        ServiceError: `conflict`, the alias points to something else.
    """
    wanted = expect.rpartition("sha256:")[2]
    if not wanted or is_digest(wanted):
        return wanted
    found = await registry.call("alias_list", ListAliases(name))
    now = next((each.digest for each in found.aliases if each.alias == alias), "")
    if now.startswith(wanted):
        return str(now)
    told = short_reference(name, now) if now else "nothing"
    raise ServiceError("conflict", f"{name}@{alias} points to {told}, not to sha256:{wanted}; it was not moved.")


def delete(reference: Reference) -> None:
    """Retire a version that no alias, deployment or other version refers to."""

    async def work(registry: RestRegistry) -> None:
        await registry.call("version_delete", DeleteVersion(reference, AUTHOR))

    with_registry(work)
    ui.say(f"{ui.WELL} {reference} is gone; ./llmos models gc --delete frees its bytes later")


def collect_garbage(
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Really delete.")] = False,
    min_age_h: Annotated[
        float, typer.Option("--min-age", metavar="HOURS", min=0, help="Unreferenced for at least so long.")
    ] = CollectGarbage().min_age_s / _HOUR_S,
    as_json: Json = False,
) -> None:
    """Say which bytes nothing refers to; with --delete, delete them."""

    async def work(registry: RestRegistry) -> Garbage:
        result: Garbage = await registry.call(
            "garbage_collect", CollectGarbage(dry_run=not delete, min_age_s=min_age_h * _HOUR_S)
        )
        return result

    with ui.err.status("looking at every object", spinner="dots"):
        result = with_registry(work)
    if as_json:
        show.emit(result)
        return
    verb = "would be deleted" if result.dry_run else "deleted"
    ui.say(f"{ui.WELL} {result.deleted} blobs, {show.size(result.deleted_bytes)}, {verb}")
    ui.say(f"  [dim]{result.kept} in use; {result.candidates} unreferenced, but not for long enough[/dim]")


Expect = Annotated[int | None, typer.Option(metavar="GENERATION", help="Only if it has not changed since.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when every worker serves it.")]
TimeoutS = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="For --wait.")]


def deploy(  # noqa: PLR0913 - one per option
    pool: Annotated[str, typer.Argument(help="For example default.")],
    base: Annotated[str, typer.Argument(help="The model: any reference.")],
    *,
    adapter: Annotated[list[str] | None, typer.Option(help="Keep it loaded; may be repeated.")] = None,
    engine_arg: Annotated[list[str] | None, typer.Option(help="--engine-arg=--flag=value; may be repeated.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Workers that are to serve it.")] = 1,
    expect: Expect = None,
    wait: Wait = False,
    timeout_s: TimeoutS = _PATIENCE_S,
) -> None:
    """Declare what a pool serves, all of it; its workers follow one by one."""
    wanted = Deploy(
        pool=pool,
        base=base,
        author=AUTHOR,
        adapters=tuple(adapter or ()),
        engine_args=tuple(engine_arg or ()),
        replicas=replicas,
        expected_generation=expect,
    )
    _declare("deployment_declare", wanted, timeout_s if wait else None)


def adjust(  # noqa: PLR0913 - one per option
    pool: Annotated[str, typer.Argument(help="For example default.")],
    *,
    add: Annotated[list[str] | None, typer.Option(metavar="REF", help="Keep this adapter loaded, too.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="REF", help="No longer ask for this one.")] = None,
    base: Annotated[str | None, typer.Option(metavar="REF", help="Another model.")] = None,
    engine_arg: Annotated[
        list[str] | None, typer.Option(help="All of them from now on: --engine-arg=--flag=value; may be repeated.")
    ] = None,
    no_engine_args: Annotated[bool, typer.Option("--no-engine-args", help="None any more.")] = False,
    replicas: Annotated[int | None, typer.Option(min=1, help="Workers that are to serve it.")] = None,
    expect: Expect = None,
    wait: Wait = False,
    timeout_s: TimeoutS = _PATIENCE_S,
) -> None:
    """Change what a pool serves in what is named; the rest stays as it was declared."""
    if engine_arg and no_engine_args:
        raise typer.BadParameter("say which, or say none", param_hint="--engine-arg")
    wanted = AdjustDeployment(
        pool=pool,
        author=AUTHOR,
        base=base,
        add_adapters=tuple(add or ()),
        drop_adapters=tuple(drop or ()),
        engine_args=tuple(engine_arg or ()) if engine_arg or no_engine_args else None,
        replicas=replicas,
        expected_generation=expect,
    )
    if wanted == AdjustDeployment(pool=pool, author=AUTHOR, expected_generation=expect):
        raise typer.BadParameter("say what is to be different", param_hint="--add, --drop, --base, …")
    _declare("deployment_adjust", wanted, timeout_s if wait else None)


def _declare(operation: str, wanted: Deploy | AdjustDeployment, timeout_s: float | None) -> None:
    """Have it declared and say what is served now; with a timeout, when every worker serves it."""

    async def work(registry: RestRegistry) -> DeploymentStatus:
        status: DeploymentStatus = await registry.call(operation, wanted)
        return status if timeout_s is None else await _settled(registry, status, timeout_s)

    with ui.err.status("declaring" if timeout_s is None else "rolling", spinner="dots"):
        now = with_registry(work).deployment
    ui.say(f"{ui.WELL} {now.pool} serves {now.base.reference}  [dim]generation {now.generation}[/dim]")


async def _settled(registry: RestRegistry, status: DeploymentStatus, timeout_s: float) -> DeploymentStatus:
    """The status in which every worker has carried the deployment out.

    Raises:
        ServiceError: `deadline_exceeded`, or `conflict` if somebody else has declared something else meanwhile.
    """
    revision, base = status.deployment.revision, status.deployment.base.digest
    deadline_s = monotonic_s() + timeout_s
    while not _is_carried_out(status, revision):
        if monotonic_s() > deadline_s:
            said = "; ".join(f"{each.name}: {each.error}" for each in status.workers if each.error)
            text = f"Not every worker has followed within {timeout_s:g} s. {said or 'See: ./llmos models deployments'}"
            raise ServiceError("deadline_exceeded", text)
        await asyncio.sleep(_LOOK_EVERY_S)
        status = await registry.call("deployment_show", PoolName(status.deployment.pool))
        if status.deployment.base.digest != base:
            raise ServiceError("conflict", "Somebody else has declared another deployment meanwhile.")
    return status


def _is_carried_out(status: DeploymentStatus, revision: int) -> bool:
    done = [each for each in status.workers if each.revision >= revision and not each.missing and each.state == "ready"]
    return len(done) >= max(status.deployment.replicas, len(status.workers))
