"""`./llmos queues`: what waits; status 1 when it could not be done."""

from cli.operations.queues import VERBS

__all__ = ["VERBS"]
