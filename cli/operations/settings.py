"""`settings`."""

from typing import Annotated

import typer

from cli import show, ui
from cli.keys.options import Json
from cli.operations.rest import RestSettings
from cli.session import run_with
from libs.contracts.effective import AllSettings, FindSettings, Setting


def run(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="Only this one.")] = "",
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not left at its default.")] = False,
    as_json: Json = False,
) -> None:
    """What every service runs with, and from where it has that; of secrets only whether they are set."""

    async def work(settings: RestSettings) -> AllSettings:
        found: AllSettings = await settings.call("settings_show", FindSettings(service))
        return found

    found = run_with(RestSettings, work)
    if as_json:
        show.emit(found)
        return
    for one in found.services:
        if one.away:
            ui.say(f"  {ui.BAD} {one.service} does not answer")
            continue
        ui.say(f"\n[bold]{one.service}[/bold]")
        wanted = [setting for setting in one.settings if not changed or setting.source != "default"]
        show.table(("variable", "value", "unit", "from"), [_line(setting) for setting in wanted])


def _line(setting: Setting) -> tuple[str, ...]:
    value = f"[dim]{setting.value}[/dim]" if setting.is_secret else show.short(setting.value, 80)
    return (setting.name, value, setting.unit, setting.source)
