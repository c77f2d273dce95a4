"""`audit list|verify`."""

from typing import Annotated, Final

import typer

from cli import show, times, ui
from cli.audit.rest import RestAudit
from cli.keys.options import Json, Limit
from cli.session import run_with
from libs.contracts.audit import AuditRow, ChainFault, EntryPage, FindEntries, Phase, Verified

_MEANING: Final = {
    "changed": "is not what was written",
    "missing": "is gone, and those up to the next row with it",
    "cut_off": "is gone, and everything behind it: the bus has heard a later link",
    "replaced": "fits its neighbours, but another link was said for it: somebody who has the key made it",
}


def list_entries(
    *,
    author: Annotated[str, typer.Option(metavar="KEY", help="Only what this key did, by its id.")] = "",
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only what keys of this project did.")] = None,
    operation: Annotated[str, typer.Option(metavar="NAME", help="Only this, such as alias_set.")] = "",
    since: Annotated[str, typer.Option(metavar="WHEN", help=times.SINCE_HELP)] = "",
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Who did what and when, newest first."""
    asked = FindEntries(
        author=author, tenant=tenant, operation=operation, since_ms=times.since_ms(since), limit=min(limit, 1_000)
    )

    async def work(audit: RestAudit) -> EntryPage:
        page: EntryPage = await audit.call("audit_list", asked)
        return page

    rows = run_with(RestAudit, work).rows
    if as_json:
        show.emit(rows)
    else:
        show.table(("", "number", "when", "key", "role", "project", "what", "on", "from"), [_line(row) for row in rows])


def verify(*, as_json: Json = False) -> None:
    """Look at every row: whether any was changed, removed, moved or cut off; status 1 if one was."""

    async def work(audit: RestAudit) -> list[Verified]:
        return await audit.walk()

    parts = run_with(RestAudit, work)
    faults = [fault for part in parts for fault in part.faults]
    rows, head = sum(part.rows for part in parts), parts[-1].head
    if as_json:
        show.emit({"rows": rows, "head": head, "faults": faults})
    elif not faults:
        ui.say(f"{ui.WELL} {rows:,} rows are as they were written; the newest link that was said is of row {head:,}")
    else:
        for fault in faults:
            ui.say(f"{ui.BAD} {_sentence(fault)}")
    if faults:
        raise typer.Exit(1)


def _sentence(fault: ChainFault) -> str:
    return f"row {fault.number:,} {_MEANING.get(fault.what, show.plain(fault.what))}"


def _line(row: AuditRow) -> tuple[str, ...]:
    entry = row.entry
    outcome = ui.BAD if entry.error else ui.WELL
    symbol = outcome if entry.phase is Phase.DONE else "[dim]·[/dim]"
    project = show.short(entry.tenant, 24) or "[dim]platform[/dim]"
    what = show.plain(entry.operation) + (f" ({show.plain(entry.error)})" if entry.error else "")
    return (symbol, str(row.number), show.when(entry.time_ms), show.short(entry.author, 32), entry.role.value, project,
            what, show.short(entry.object, 60), show.plain(entry.address))  # fmt: skip


VERBS: Final = {"list": list_entries, "verify": verify}
