"""`./llmos events`: what happens on the platform; status 1 when it could not be done."""

from cli.events.verbs import VERBS

__all__ = ["VERBS"]
