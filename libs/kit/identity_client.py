"""Asking the identity service over the bus."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.identity import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 10.0
_IDENTITY: Final = Callee(
    name="identity", operations=OPERATIONS, subject=subjects.identity_call, timeout_s=lambda _: TIMEOUT_S
)


class BusIdentity(BusCaller):
    """The identity service over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _IDENTITY)
