"""Runs one service as a process: its settings, its signals, and what is said where it cannot begin."""

import asyncio
import gc
import re
import signal
import sys
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError

from libs.kit.alive import StopRequest, keep_touching
from libs.kit.settings import NatsSettings, ServiceSettings, TracingSettings, WatchdogSettings
from libs.kit.starting import CANNOT_START, knock, why
from libs.kit.telemetry import configure_logging
from libs.kit.telemetry.tracing import configure_tracing, stop_tracing
from libs.kit.watchdog import watched_from

_SHARED: Final = {
    each.__name__: str(each.model_config.get("env_prefix", "")).rstrip("_")
    for each in (TracingSettings, WatchdogSettings)
}
"""Settings that all services read alike, and what their variables begin with."""
BAD_SETTINGS: Final = 2
"""Exit status where a setting is missing or wrong."""
WRONG_SETTINGS: Final = (ValidationError, SettingsError)
"""What settings raise: a value is missing or wrong, or is no JSON where it must be."""
_FIELD: Final = re.compile(r"field \"(\w+)\"")
_NEW_OBJECTS: Final = 100_000
"""Made, and not yet gone, before the collector looks for cycles among the young: more than any batch makes."""


class App(Protocol):
    """A service, wired and not started."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""


Settings = TypeVar("Settings", bound=ServiceSettings)


def run_service(service: str, read: Callable[[], Settings], build: Callable[[Settings], App]) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        service: what its log lines bear.
        read: reads the settings from the environment.
        build: wires the service; called in the event loop.

    Returns:
        The exit status: 0; `BAD_SETTINGS` after one line per setting that is missing or wrong; `CANNOT_START` after one
        line about what kept it from starting.
    """
    try:
        settings = read()
    except WRONG_SETTINGS as error:
        print(refused(service, error), file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return BAD_SETTINGS
    configure_logging(service, level=settings.log_level)
    configure_tracing(service, settings.tracing)
    stop = StopRequest()
    try:
        uvloop.run(_serve(settings, build, stop))
    except Exception as error:
        line = None if stop.awaited.is_set() else why(service, settings, error)
        if line is None:
            raise
        print(line, file=sys.stderr)  # noqa: T201 - one line, as of every wrong setting
        return CANNOT_START
    finally:
        stop_tracing()
    return 0


def refused(service: str, error: ValidationError | SettingsError) -> str:
    """One line per setting that is missing or wrong, each named as it is in the environment."""
    if isinstance(error, SettingsError):
        found = _FIELD.search(str(error))
        variable = f"{service}_{found[1]}".upper() if found else service.upper()
        return f'{service}: {variable}: must be JSON, for example ["default"]'
    prefix = _SHARED.get(error.title, service)
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        variable = f"{prefix}_{'__'.join(str(part) for part in one['loc'])}".upper()
        lines.append(f"{service}: {variable}: {one['msg']}")
    return "\n".join(lines)


def spare_collector() -> None:
    """Keep the garbage collector from what was built so far, and from the short-lived objects of every batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


async def _serve(settings: Settings, build: Callable[[Settings], App], stop: StopRequest) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    nats = getattr(settings, "nats", None)
    if isinstance(nats, NatsSettings):
        await knock(nats)
    app = build(settings)
    spare_collector()
    async with (
        keep_touching(settings.alive_file, stop.awaited),
        watched_from(stop.awaited, settings.watchdog.hang_limit_s),
    ):
        await app.run(stop)
