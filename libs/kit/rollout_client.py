"""Asking the rollout service over the bus."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.rollouts import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 60.0
"""An order asks the registry for everything that its plan names."""
_ROLLOUT: Final = Callee(
    name="rollout", operations=OPERATIONS, subject=subjects.rollout_call, timeout_s=lambda _: TIMEOUT_S
)


class BusRollouts(BusCaller):
    """The rollout service over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _ROLLOUT)
