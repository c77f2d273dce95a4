"""Asking any service what operators want to know of it."""

from libs.contracts import effective, letters, subjects
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S = 20.0


class BusOperators(BusCaller):
    """One service over the bus: its settings, and its dead letters where it may have some."""

    def __init__(self, bus: BusClient, service: str) -> None:
        super().__init__(
            bus,
            Callee(
                name=service,
                operations={**effective.OPERATIONS, **letters.OPERATIONS},
                subject=lambda operation: subjects.service_call(service, operation),
                timeout_s=lambda _: TIMEOUT_S,
            ),
        )
