"""Endpoints for settings: what services run with, and how much they log, which is all that can be changed."""

from typing import Final

import msgspec

from libs.contracts.effective import ChangeLogLevel, FindSettings
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Asked, Endpoint


class SettingsFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose settings; everybody's where it is left out."""

    service: str = ""


class NewLogLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`, and of which process; of all where it is left out."""

    level: str
    instance: str = ""


def _change(asked: Asked) -> ChangeLogLevel:
    body: NewLogLevel = asked.body
    return ChangeLogLevel(service=asked.path["service"], level=body.level, instance=body.instance, author=asked.author)


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
    Endpoint(
        service="settings",
        method="PUT",
        path="/settings/{service}/log-level",
        permission=Permission.SETTINGS_WRITE,
        operation="log_level_set",
        summary="Have the processes of a service, or one of them, log more or less until they end.",
        body=NewLogLevel,
        call=_change,
    ),
)
