"""`settings`."""

from typing import Annotated

import typer

from cli import show, ui
from cli.keys.options import Json
from cli.operations.rest import RestSettings
from cli.session import AUTHOR, run_with
from libs.contracts.effective import LOG_LEVELS, AllSettings, ChangeLogLevel, FindSettings, LogLevels, Setting

_LEVELS = ", ".join(LOG_LEVELS)


def run(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="Only this one.")] = "",
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not left at its default.")] = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help=f"Have the service log so much until it ends: {_LEVELS}.")
    ] = "",
    process: Annotated[
        str, typer.Option(metavar="ID", help="With --log-level, only this process; ./llmos services lists them.")
    ] = "",
    as_json: Json = False,
) -> None:
    """What every service runs with, and from where it has that; and how much it logs, which can be changed."""
    if log_level:
        _set_log_level(service, log_level, process, as_json=as_json)
        return
    if process:
        raise typer.BadParameter("it goes with --log-level", param_hint="--process")

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
        ui.say(f"\n[bold]{one.service}[/bold] {show.plain(one.instance)}")
        wanted = [setting for setting in one.settings if not changed or setting.source != "default" or setting.was]
        show.table(("variable", "value", "unit", "from"), [_line(setting) for setting in wanted])


def _set_log_level(service: str, level: str, process: str, *, as_json: bool) -> None:
    if not service:
        raise typer.BadParameter("name the service that is to log more or less", param_hint="SERVICE")
    asked = ChangeLogLevel(service=service, level=level.upper(), instance=process, author=AUTHOR)

    async def work(settings: RestSettings) -> LogLevels:
        done: LogLevels = await settings.call("log_level_set", asked)
        return done

    done = run_with(RestSettings, work)
    if as_json:
        show.emit(done)
    else:
        for one in done.processes:
            name = f"{done.service} {show.plain(one.instance)}"
            told = (
                f"{ui.BAD} {name} does not answer" if one.away else f"{ui.WELL} {name} logs {one.level}, was {one.was}"
            )
            ui.say(f"  {told}")
    if any(one.away for one in done.processes):
        raise typer.Exit(1)


def _line(setting: Setting) -> tuple[str, ...]:
    value = f"[dim]{setting.value}[/dim]" if setting.is_secret else show.short(setting.value, 80)
    source = f"an operator; was {show.short(setting.was, 40)}" if setting.was else str(setting.source)
    return (setting.name, value, setting.unit, source)
