"""Asking the registry: one call per operation, over the bus here, over REST in the command line."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.registry import OPERATIONS
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee
from libs.kit.calls import Caller as Registry

__all__ = ["BusRegistry", "Registry", "timeout_s"]

TIMEOUT_S: Final = 30.0
SLOW_TIMEOUT_S: Final = 900.0
"""For operations that read every byte of a version back, or walk the whole bucket."""
_SLOW: Final = frozenset({"upload_commit", "version_verify", "garbage_collect"})


def timeout_s(operation: str) -> float:
    """How long an answer to `operation` may take."""
    return SLOW_TIMEOUT_S if operation in _SLOW else TIMEOUT_S


_REGISTRY: Final = Callee(name="registry", operations=OPERATIONS, subject=subjects.registry_call, timeout_s=timeout_s)


class BusRegistry(BusCaller):
    """The registry over the bus; the client's inbox prefix must be one that the registry may answer to."""

    def __init__(self, bus: BusClient) -> None:
        super().__init__(bus, _REGISTRY)
