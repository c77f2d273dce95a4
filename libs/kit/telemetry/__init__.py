"""What a process tells of itself: log lines, and traces of some of its requests."""

from libs.kit.telemetry.logging import configure_logging

__all__ = ["configure_logging"]
