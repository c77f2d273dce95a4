"""Asking feedback over the bus."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.feedback import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 30.0
_FEEDBACK: Final = Callee(
    name="feedback", operations=OPERATIONS, subject=subjects.feedback_call, timeout_s=lambda _: TIMEOUT_S
)


class BusFeedback(BusCaller):
    """Feedback over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _FEEDBACK)
