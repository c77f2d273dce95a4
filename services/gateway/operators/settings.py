"""Answers which settings every service runs with, out of the answers of each."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.effective import SERVICES, AllSettings, FindSettings, Settings
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError

_MAX_SHOWN: Final = 80


class SettingsDesk:
    """A `libs.kit.calls.Caller` of `libs.contracts.effective.DESK_OPERATIONS`."""

    def __init__(self, services: Mapping[str, Caller], own: Settings) -> None:
        """Prepare; `services` are the others of `libs.contracts.effective.SERVICES`, `own` is what this process has."""
        self._services = services
        self._own = own

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The settings that are asked for.

        Raises:
            ServiceError: `not_found`, there is no such service.
        """
        assert isinstance(request, FindSettings)  # noqa: S101 - the contract has no other type
        if request.service and request.service not in SERVICES:
            text = f"There is no service `{request.service[:_MAX_SHOWN]}`; there are {', '.join(SERVICES)}."
            raise ServiceError("not_found", text, param="service")
        wanted = [request.service] if request.service else SERVICES
        return AllSettings(tuple(await asyncio.gather(*(self._of(service, operation) for service in wanted))))

    async def _of(self, service: str, operation: str) -> Settings:
        if service == self._own.service:
            return self._own
        try:
            found: Settings = await self._services[service].call(operation, Empty())
        except ServiceError as error:
            if error.spec.kind != "server_error":
                raise
            return Settings(service=service, away=True)
        return found
