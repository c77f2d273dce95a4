"""Answers which settings every service runs with, out of the answers of each, and changes what can be changed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.effective import SERVICES, AllSettings, ChangeLogLevel, FindSettings, Settings
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from services.gateway.operators.levels import Levels, no_service


class SettingsDesk:
    """A `libs.kit.calls.Caller` of `libs.contracts.effective.DESK_OPERATIONS`."""

    def __init__(self, services: Mapping[str, Caller], own: Callable[[], Settings], levels: Levels) -> None:
        """Prepare.

        Args:
            services: those of `libs.contracts.effective.SERVICES`, without the one of this process.
            own: what this process runs with.
            levels: tells processes how much to log.
        """
        self._services = services
        self._own = own
        self._levels = levels

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The settings that are asked for, or what became of those that were to change.

        Raises:
            ServiceError: `not_found`, there is no such service; or what `Levels.change` raises.
        """
        if isinstance(request, ChangeLogLevel):
            return await self._levels.change(request)
        assert isinstance(request, FindSettings)  # noqa: S101 - the contract has no other type
        if request.service and request.service not in SERVICES:
            raise no_service(request.service)
        wanted = [request.service] if request.service else SERVICES
        return AllSettings(tuple(await asyncio.gather(*(self._of(service, operation) for service in wanted))))

    async def _of(self, service: str, operation: str) -> Settings:
        if service not in self._services:
            return self._own()
        try:
            found: Settings = await self._services[service].call(operation, Empty())
        except ServiceError as error:
            if error.spec.kind != "server_error":
                raise
            return Settings(service=service, away=True)
        return found
