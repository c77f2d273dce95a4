"""Answers calls about lineage as a service would, out of the answers of the services that know."""

from collections.abc import Mapping
from typing import Any

import msgspec

from libs.kit.calls import Caller
from services.gateway.lineage.asking import Owners
from services.gateway.lineage.impact import impact
from services.gateway.lineage.why import why


class LineageDesk:
    """A `libs.kit.calls.Caller` of the operations in `libs.contracts.lineage`."""

    def __init__(self, services: Mapping[str, Caller]) -> None:
        self._operations: dict[str, Any] = {"answer_why": why, "signal_impact": impact}
        self._services = services

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: the id is not known, or somebody who must be asked is away.
        """
        tenant: str = getattr(request, "tenant", "")
        return await self._operations[operation](Owners(self._services, tenant), request)
