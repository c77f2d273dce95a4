"""`./llmos workers`: who answers requests; status 1 when it could not be done, 3 when somebody was faster."""

from cli.operations.workers import VERBS

__all__ = ["VERBS"]
