"""`./llmos settings`: what every service runs with; status 1 when it could not be asked."""

from cli.operations.settings import run

__all__ = ["run"]
