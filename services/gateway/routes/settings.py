"""Endpoints for settings: what services run with, to be read only; it is set where services are started."""

from typing import Final

import msgspec

from libs.contracts.effective import FindSettings
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Endpoint


class SettingsFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose settings; everybody's where it is left out."""

    service: str = ""


ENDPOINTS: Final = (
    Endpoint(
        service="settings",
        method="GET",
        path="/settings",
        permission=Permission.SETTINGS_READ,
        operation="settings_show",
        summary="What every service runs with, and from where it has that; of secrets only whether they are set.",
        query=SettingsFilter,
        call=lambda asked: FindSettings(asked.query.service),
    ),
)
