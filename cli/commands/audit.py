"""`./llmos audit`: who did what and when, and whether that record is whole; status 1 when it is not."""

from cli.audit.verbs import VERBS

__all__ = ["VERBS"]
