"""`./llmos webhooks`: events sent to an address, signed; status 1 when it could not be done."""

from cli.events.webhooks import VERBS

__all__ = ["VERBS"]
