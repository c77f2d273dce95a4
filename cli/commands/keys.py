"""`./llmos keys`: API keys; status 1 when it could not be done, 3 when somebody was faster."""

from cli.keys.verbs import VERBS

__all__ = ["VERBS"]
