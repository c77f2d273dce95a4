"""`./llmos loops`: names that improve by themselves; status 1 when it could not be done."""

from cli.rollouts.loops import VERBS

__all__ = ["VERBS"]
