"""`./llmos down`."""

from cli import bring_up, settings


def run() -> None:
    """Stop the stack, from whichever shell it was started."""
    bring_up.take_down(settings.stack())
