"""`./llmos status`."""

import json
import sys
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from cli import presence, served, settings, show, times, ui
from deploy.local.state import PartPhase, PartState, Phase, StackState
from libs.contracts.discovery import ServiceList
from libs.kit.clock import unix_ms

_UP = (Phase.READY, Phase.DEGRADED)
_OVER = (Phase.STOPPED, Phase.FAILED)


def run(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Status 0 when the stack is up, 1 when it is not."""
    stack = settings.stack()
    state = stack.state()
    there = None
    if state is not None:
        served.fill(stack, state)
        there = presence.on_the_bus(stack, state) if state.phase not in _OVER else None
    up = state is not None and state.phase in _UP
    if as_json:
        body = msgspec.to_builtins(state) if state is not None else {"phase": Phase.STOPPED}
        body["services"] = msgspec.to_builtins(there.services) if there is not None else []
        sys.stdout.write(
            json.dumps({**body, "api_key": stack.api_key() if up else "", "home": str(stack.home.root)}) + "\n"
        )
    elif state is None:
        ui.say("Nothing runs here yet. Start it: ./llmos up")
    else:
        _show(state, there)
        if up:
            ui.connection(state, stack.api_key())
    raise typer.Exit(0 if up else 1)


def _show(state: StackState, there: ServiceList | None) -> None:
    ui.say(f"\n  [bold]{state.phase}[/bold]  {state.message}\n")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for title in ("", "process", "pid", "port", "since", "restarts", "says"):
        table.add_column(title, justify="right" if title in ("pid", "port", "since", "restarts") else "left")
    for part in state.parts:
        table.add_row(*_row(part, there))
    ui.out.print(table)


def _row(part: PartState, there: ServiceList | None) -> tuple[str, ...]:
    port = next(iter(part.ports.values()), "")
    since = times.duration(unix_ms() - part.started_ms) if part.pid else ""
    name = f"{part.title} [yellow]{part.detail}[/yellow]" if part.detail else part.title
    symbol = ui.SYMBOLS.get(part.phase, "[cyan]…[/cyan]")
    says, is_well = _says(part, there)
    if part.phase is PartPhase.READY and not is_well:
        symbol = ui.DOUBTFUL
    return symbol, name, str(part.pid or ""), str(port), since, str(part.restarts or ""), says


def _says(part: PartState, there: ServiceList | None) -> tuple[str, bool]:
    """What the process says of itself on the bus, and whether all is well with it; nothing where nobody is asked."""
    if there is None or not part.pid or not presence.service_of(part.name):
        return "", True
    instance = presence.instance_of(there.services, part.name, part.pid)
    if instance is None:
        return "[yellow]does not answer on the bus[/yellow]", False
    says = show.plain(presence.condition(instance))
    return (says, True) if presence.is_well(instance) else (f"[yellow]{says}[/yellow]", False)
