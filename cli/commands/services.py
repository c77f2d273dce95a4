"""`./llmos services`: every process that answers on the bus of an installation; status 1 when one lacks something."""

from typing import Annotated, Final

import typer

from cli import show, times, ui
from cli.presence import RestPresence, calls, condition, is_well
from cli.session import run_with
from libs.contracts.discovery import InstanceState, ListServices, ServiceList, ServiceState
from libs.kit.clock import unix_ms

_TITLES: Final = ("", "service", "process", "version", "since", "condition", "calls", "faults", "a fault")


def run(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Who is there, what each lacks, and what has come of its calls since it started."""

    async def work(presence: RestPresence) -> ServiceList:
        found: ServiceList = await presence.call("service_list", ListServices())
        return found

    services = run_with(RestPresence, work).services
    if as_json:
        show.emit(services)
    else:
        show.table(_TITLES, [row for service in services for row in _rows(service)])
    if not all(service.instances and all(one.ready for one in service.instances) for service in services):
        raise typer.Exit(1)


def _rows(service: ServiceState) -> list[tuple[str, ...]]:
    if not service.instances:
        return [(ui.BAD, service.name, "", "", "", "nobody answers", "", "", "")]
    return [_row(service.name, one) for one in service.instances]


def _row(service: str, instance: InstanceState) -> tuple[str, ...]:
    symbol = ui.BAD if not instance.ready else ui.WELL if is_well(instance) else ui.DOUBTFUL
    since = times.duration(unix_ms() - instance.started_ms) if instance.started_ms else ""
    answered, faults, last = calls(instance)
    return (
        symbol,
        service,
        show.plain(instance.id),
        show.plain(instance.version),
        since,
        show.plain(condition(instance)),
        f"{answered:,}" if answered else "",
        f"{faults:,}" if faults else "",
        show.short(last),
    )
