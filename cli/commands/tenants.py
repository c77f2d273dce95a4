"""`./llmos tenants`: projects; status 1 when it could not be done, 3 when somebody was faster."""

from cli.keys.tenants import VERBS

__all__ = ["VERBS"]
