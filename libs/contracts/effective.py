"""The settings that a service runs with, and the one of them that can be changed while it runs: how much it logs.

Every service tells them at `subjects.service_call(…, "settings_show")`. Each process is told to log more or less at
`subjects.process_call(<service>, <instance>, "log_level")`; that lasts until it ends.
"""

from typing import Final, Literal, get_args

import msgspec

from libs.contracts import discovery
from libs.contracts.calls import Empty

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOG_LEVELS: Final[tuple[LogLevel, ...]] = get_args(LogLevel)
"""From everything to almost nothing."""
SERVICES: Final = tuple(sorted(discovery.SERVICES))
"""Whom a gateway asks."""


class Setting(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One setting; of a secret only whether it is set."""

    name: str
    """Environment variable."""
    value: str
    source: Literal["environment", "default"]
    """Of what the process began with."""
    unit: str = ""
    """As the end of its name says: `s`, `ms`, `bytes`, `tokens`, …"""
    is_secret: bool = False
    """Then `value` is `set` or `unset`."""
    was: str = ""
    """What the process began with, where an operator has changed it since."""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one process of a service runs with."""

    service: str
    settings: tuple[Setting, ...] = ()
    away: bool = False
    """Nobody of this service answers."""
    instance: str = ""
    """Which process says so."""


class AllSettings(msgspec.Struct, frozen=True):
    """Every service, in order of the names."""

    services: tuple[Settings, ...]


class FindSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for all services, or one."""

    service: str = ""


class SetLogLevel(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Tell one process how much to log until it ends."""

    level: LogLevel
    author: str = ""


class ProcessLogLevel(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How much one process logs."""

    instance: str
    level: str = ""
    was: str = ""
    """What it was before."""
    away: bool = False
    """It did not answer in time; whether it has heard is not known."""


class ChangeLogLevel(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Have every process of a service, or one, log more or less until it ends."""

    service: str
    level: str
    """One of `LOG_LEVELS`."""
    instance: str = ""
    """Only this process."""
    author: str = ""


class LogLevels(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of the processes that were meant, by id."""

    service: str
    processes: tuple[ProcessLogLevel, ...]


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {"settings_show": (Empty, Settings)}
"""One process of a service answers for all."""
PROCESS_OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "log_level": (SetLogLevel, ProcessLogLevel)
}
"""Each process answers for itself."""
DESK_OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "settings_show": (FindSettings, AllSettings),
    "log_level_set": (ChangeLogLevel, LogLevels),
}
