"""`./llmos dead-letters`: what services could not take in; status 1 when it could not be done."""

from cli.operations.letters import VERBS

__all__ = ["VERBS"]
