"""Asking a scheduler over the bus, as operators do; requests take another way."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.scheduling import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 45.0
"""A purge of a full queue takes some seconds, a drain waits for a while."""
_SCHEDULER: Final = Callee(
    name="scheduler", operations=OPERATIONS, subject=subjects.scheduler_call, timeout_s=lambda _: TIMEOUT_S
)


class BusScheduler(BusCaller):
    """A scheduler over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _SCHEDULER)
