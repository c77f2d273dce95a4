"""Asking any service, or one process of it, what operators want to know of it."""

import functools

from libs.contracts import effective, letters, subjects
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee

TIMEOUT_S = 20.0
_PROCESS_TIMEOUT_S = 10.0
"""Of one process, which may hang, and whose caller asks others, too."""


class BusOperators(BusCaller):
    """One service over the bus: its settings, and its dead letters where it may have some."""

    def __init__(self, bus: BusClient, service: str) -> None:
        super().__init__(
            bus,
            Callee(
                name=service,
                operations={**effective.OPERATIONS, **letters.OPERATIONS},
                subject=functools.partial(subjects.service_call, service),
                timeout_s=lambda _: TIMEOUT_S,
            ),
        )


class BusProcess(BusCaller):
    """One process of a service over the bus: how much it logs."""

    def __init__(self, bus: BusClient, service: str, instance: str) -> None:
        super().__init__(
            bus,
            Callee(
                name=service,
                operations=effective.PROCESS_OPERATIONS,
                subject=functools.partial(subjects.process_call, service, instance),
                timeout_s=lambda _: _PROCESS_TIMEOUT_S,
            ),
        )
