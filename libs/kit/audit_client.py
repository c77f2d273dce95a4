"""Asking the audit service over the bus."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.audit import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S: Final = 60.0
"""A walk over fifty thousand rows takes some seconds."""
_AUDIT: Final = Callee(name="audit", operations=OPERATIONS, subject=subjects.audit_call, timeout_s=lambda _: TIMEOUT_S)


class BusAudit(BusCaller):
    """The audit service over the bus; the client's inbox prefix must be one that it may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _AUDIT)
