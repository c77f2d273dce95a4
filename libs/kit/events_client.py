"""Asking the events service over the bus."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.webhooks import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 15.0
_EVENTS: Final = Callee(
    name="events", operations=OPERATIONS, subject=subjects.events_call, timeout_s=lambda _: TIMEOUT_S
)


class BusEvents(BusCaller):
    """The events service over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _EVENTS)
