"""What everything in one process stands on, made once."""

import asyncio
from dataclasses import dataclass, field

from libs.kit.calls import Caller
from libs.kit.leader import Leader
from libs.kit.postgres import Database
from services.rollout.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Shared by calls and rounds, by rollouts and loops."""

    instance: str
    settings: Settings
    database: Database
    leader: Leader
    registry: Caller
    feedback: Caller
    trainer: Caller
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is an event to send."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a rollout changed or evidence came."""
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when gateways are to be told anew."""
    turned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a loop or a turn may have something to do."""

    def changed(self) -> None:
        """Something of a rollout changed, and is committed."""
        for event in (self.told, self.wake, self.spoken, self.turned):
            event.set()
