"""Which trace an event in the outbox belongs to, as far as this process knows.

Kept in memory and not in the row: a row lives for milliseconds, and what is lost with a process, or sent by another
one, is a line in a trace and never an event.
"""

from typing import Final

from libs.kit.telemetry import tracing

_MOST: Final = 4_096


class Causes:
    """The spans that caused events, by event, the newest of them."""

    def __init__(self) -> None:
        self._by_event: dict[str, str] = {}

    def note(self, event_id: str) -> None:
        """An event is added by whatever this task is in."""
        span = tracing.current()
        if span is not None:
            self.keep(event_id, span.traceparent)

    def keep(self, event_id: str, traceparent: str) -> None:
        """An event will be added on behalf of what this names."""
        self._by_event[event_id] = traceparent
        if len(self._by_event) > _MOST:
            del self._by_event[next(iter(self._by_event))]

    def of(self, event_id: str) -> str:
        """The traceparent of what caused it; empty where that is not known. It may be asked again after a failure."""
        return self._by_event.get(event_id, "")
