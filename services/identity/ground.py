"""What everything in one process stands on, made once."""

import asyncio
from dataclasses import dataclass, field

from libs.kit.postgres import Database
from services.identity.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Shared by calls and rounds, by tenants, keys and limits."""

    instance: str
    settings: Settings
    database: Database
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is an event to send."""
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when gateways are to hear of a revision."""

    def changed(self) -> None:
        """Something changed, and is committed."""
        self.told.set()
        self.spoken.set()
