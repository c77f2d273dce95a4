"""`./llmos status`."""

import json
import sys
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from cli import served, settings, ui
from deploy.local.state import PartState, Phase, StackState
from libs.kit.clock import unix_ms

_UP = (Phase.READY, Phase.DEGRADED)


def run(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Status 0 when the stack is up, 1 when it is not."""
    stack = settings.stack()
    state = stack.state()
    if state is not None:
        served.fill(stack, state)
    up = state is not None and state.phase in _UP
    if as_json:
        body = msgspec.to_builtins(state) if state is not None else {"phase": Phase.STOPPED}
        sys.stdout.write(
            json.dumps({**body, "api_key": stack.api_key() if up else "", "home": str(stack.home.root)}) + "\n"
        )
    elif state is None:
        ui.say("Nothing runs here yet. Start it: ./llmos up")
    else:
        _show(state)
        if up:
            ui.connection(state, stack.api_key())
    raise typer.Exit(0 if up else 1)


def _show(state: StackState) -> None:
    ui.say(f"\n  [bold]{state.phase}[/bold]  {state.message}\n")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for title in ("", "process", "pid", "port", "since", "restarts"):
        table.add_column(title, justify="right" if title in ("pid", "port", "since", "restarts") else "left")
    for part in state.parts:
        table.add_row(*_row(part))
    ui.out.print(table)


def _row(part: PartState) -> tuple[str, ...]:
    port = next(iter(part.ports.values()), "")
    since = _duration(unix_ms() - part.started_ms) if part.pid else ""
    name = f"{part.title} [yellow]{part.detail}[/yellow]" if part.detail else part.title
    symbol = ui.SYMBOLS.get(part.phase, "[cyan]…[/cyan]")
    return symbol, name, str(part.pid or ""), str(port), since, str(part.restarts or "")


def _duration(ms: int) -> str:
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
