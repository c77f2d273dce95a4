"""The settings that a service runs with, as every service tells them at `subjects.service_call(…, "settings_show")`."""

from typing import Final, Literal

import msgspec

from libs.contracts.calls import Empty


class Setting(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One setting; of a secret only whether it is set."""

    name: str
    """Environment variable."""
    value: str
    source: Literal["environment", "default"]
    unit: str = ""
    """As the end of its name says: `s`, `ms`, `bytes`, `tokens`, …"""
    is_secret: bool = False
    """Then `value` is `set` or `unset`."""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one process of a service runs with."""

    service: str
    settings: tuple[Setting, ...] = ()
    away: bool = False
    """Nobody of this service answers."""


class AllSettings(msgspec.Struct, frozen=True):
    """Every service, in order of the names."""

    services: tuple[Settings, ...]


class FindSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for all services, or one."""

    service: str = ""


SERVICES: Final = ("audit", "events", "feedback", "gateway", "identity", "registry", "rollout", "scheduler", "trainer")
"""Whom a gateway asks; workers are told theirs by whoever starts them."""
OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {"settings_show": (Empty, Settings)}
DESK_OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "settings_show": (FindSettings, AllSettings)
}
