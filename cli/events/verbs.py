"""`events tail|types|credentials`."""

import asyncio
from typing import Annotated, Any, Final

import typer

from cli import address, settings, show, ui
from cli.events.tail import follow
from deploy.local import listeners
from libs.contracts.public_events import PUBLIC_EVENTS

Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def tail(
    *,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only these; `*` stands for anything. May be repeated.")
    ] = None,
    after: Annotated[int | None, typer.Option(min=0, help="Begin after this position; 0: with the oldest.")] = None,
    tenant: Annotated[str, typer.Option(help="Only of this tenant; `_platform`: of the platform itself.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="End after so many; 0: go on for ever.")] = 0,
    as_json: Json = False,
) -> None:
    """Print events as they come, and go on where it was when the connection is lost."""
    url, key = address.admin()
    query: dict[str, Any] = {"type": types or [], "tenant": tenant or [], "after": [] if after is None else after}
    asyncio.run(follow(url, key, query, limit=limit, as_json=as_json))


def types(*, as_json: Json = False) -> None:
    """List what there is to hear."""
    rows = [(each.name, (each.data.__doc__ or "").strip().splitlines()[0]) for each in PUBLIC_EVENTS]
    if as_json:
        show.emit([name for name, _ in rows])
    else:
        show.table(("type", "when"), rows)


def credentials(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose events; `_platform`: of the platform itself.")],
    *,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take them back, and cut off whoever uses them.")] = False,
    as_json: Json = False,
) -> None:
    """Let a NATS client hear the live events of one tenant, and nothing else; of the local stack only."""
    if revoke:
        listeners.revoke(settings.stack(), tenant)
        ui.say(f"{ui.WELL} nobody hears events of {show.plain(tenant)} over NATS any more")
        return
    found = listeners.grant(settings.stack(), tenant)
    if as_json:
        show.emit(found._asdict())
        return
    show.facts((("URL", found.url), ("User", found.user), ("Password", found.password), ("Subject", found.subject)))
    ui.say("  What it missed it cannot ask for here; GET /v1/events resumes anywhere.")


VERBS: Final = {"tail": tail, "types": types, "credentials": credentials}
