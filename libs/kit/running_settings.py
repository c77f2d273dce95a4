"""What one process runs with: its settings as it began, and how much it logs by now."""

import msgspec
import structlog
from pydantic_settings import BaseSettings

from libs.contracts.effective import ProcessLogLevel, SetLogLevel, Setting, Settings
from libs.kit.shown_settings import shown
from libs.kit.telemetry.logging import set_log_level

log = structlog.get_logger(__name__)

_LEVEL = "log_level"


class RunningSettings:
    """The settings of one process, one of which can be changed until it ends."""

    def __init__(self, service: str, instance: str, settings: BaseSettings) -> None:
        self._service = service
        self._instance = instance
        self._began = shown(settings)
        self._variable = f"{settings.model_config.get('env_prefix', '')}{_LEVEL}".upper()
        self._first: str = getattr(settings, _LEVEL)
        self._level = self._first

    def told(self) -> Settings:
        """As operators are told them."""
        return Settings(service=self._service, instance=self._instance, settings=tuple(map(self._now, self._began)))

    async def change(self, wanted: SetLogLevel) -> ProcessLogLevel:
        """Log so much until this process ends."""
        was, self._level = self._level, wanted.level
        # Before and not after, for of a change to almost nothing nothing would be said.
        log.warning("how much is logged changes", level=wanted.level, was=was, author=wanted.author)
        set_log_level(wanted.level)
        return ProcessLogLevel(instance=self._instance, level=wanted.level, was=was)

    def _now(self, setting: Setting) -> Setting:
        if setting.name != self._variable or self._level == self._first:
            return setting
        return msgspec.structs.replace(setting, value=self._level, was=setting.value)
