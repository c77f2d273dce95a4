"""`./llmos rollout`: a candidate takes over a name step by step; status 1 when it could not be done."""

from cli.rollouts.verbs import VERBS

__all__ = ["VERBS"]
