"""Has the processes of a service log more or less, each told by itself."""

import asyncio
from collections.abc import Callable
from typing import Final

from libs.contracts.effective import (
    LOG_LEVELS,
    SERVICES,
    ChangeLogLevel,
    LogLevel,
    LogLevels,
    ProcessLogLevel,
    SetLogLevel,
)
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from libs.kit.roll_call import RollCall

_MAX_SHOWN: Final = 80


class Levels:
    """Finds out which processes there are, and tells those that are meant."""

    def __init__(self, roll_call: RollCall, process: Callable[[str, str], Caller]) -> None:
        """Prepare; `process` makes the way to one process of a service."""
        self._roll_call = roll_call
        self._process = process

    async def change(self, wanted: ChangeLogLevel) -> LogLevels:
        """Tell every process of the service, or the one that is named; those that do not answer are named as away.

        Raises:
            ServiceError: `invalid_setting`, there is no such level; `not_found`, no such service or process;
                `bus_unavailable`.
        """
        level = _level(wanted.level)
        if wanted.service not in SERVICES:
            raise no_service(wanted.service)
        there = {one.id for one in (await self._roll_call.of(wanted.service)).instances}
        meant = there & {wanted.instance} if wanted.instance else there
        if not meant:
            which = f"process `{wanted.instance[:_MAX_SHOWN]}`" if wanted.instance else "process"
            text = f"No {which} of `{wanted.service}` answers; `GET /admin/v1/services` lists those that do."
            raise ServiceError("not_found", text, param="instance")
        told = SetLogLevel(level=level, author=wanted.author)
        done = await asyncio.gather(*(self._tell(wanted.service, instance, told) for instance in sorted(meant)))
        return LogLevels(service=wanted.service, processes=tuple(done))

    async def _tell(self, service: str, instance: str, told: SetLogLevel) -> ProcessLogLevel:
        try:
            level: ProcessLogLevel = await self._process(service, instance).call("log_level", told)
        except ServiceError as error:
            if error.spec.kind != "server_error":
                raise
            return ProcessLogLevel(instance=instance, away=True)
        return level


def no_service(name: str) -> ServiceError:
    """Nobody is called that."""
    text = f"There is no service `{name[:_MAX_SHOWN]}`; there are {', '.join(SERVICES)}."
    return ServiceError("not_found", text, param="service")


def _level(given: str) -> LogLevel:
    for level in LOG_LEVELS:
        if level == given:
            return level
    text = f"There is no log level `{given[:_MAX_SHOWN]}`; there are {', '.join(LOG_LEVELS)}."
    raise ServiceError("invalid_setting", text, param="level")
