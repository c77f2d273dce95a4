"""`./llmos jobs`: trainings and evaluations; status 1 when it could not be done."""

from cli.training.verbs import VERBS

__all__ = ["VERBS"]
