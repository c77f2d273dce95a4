"""Traces that are kept in memory, for tests of what is recorded and of what follows from what."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import Parent, write
from libs.kit.telemetry.tracing import Kind


@dataclass
class NotedSpan:
    """One span, as it was told."""

    name: str
    kind: Kind
    parent: Parent | None
    number: int
    links: tuple[Parent, ...]
    started_ns: int | None
    said: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    ended: bool = False

    @property
    def trace_id(self) -> str:
        """Of its parent, or its own."""
        return f"{self.parent.trace_id if self.parent else 100 + self.number:032x}"

    @property
    def span_id(self) -> str:
        """Its number."""
        return f"{self.number:016x}"

    @property
    def traceparent(self) -> str:
        """As others are told."""
        return write(int(self.trace_id, 16), self.number)

    def set(self, attributes: tracing.Attributes) -> None:
        """Keep it."""
        self.said |= attributes

    def rename(self, name: str) -> None:
        """Keep the name."""
        self.name = name

    def fail(self, error: str) -> None:
        """Keep the code."""
        self.errors.append(error)

    def end(self, error: str = "") -> None:
        """Note that it ended, which must happen once."""
        assert not self.ended, self.name
        self.ended = True
        if error:
            self.errors.append(error)


class Notes:
    """Records in memory."""

    def __init__(self) -> None:
        self.spans: list[NotedSpan] = []

    def start(
        self, name: str, kind: Kind, parent: Parent | None, started_ns: int | None, links: Iterable[Parent]
    ) -> NotedSpan:
        """Keep a new one."""
        self.spans.append(NotedSpan(name, kind, parent, len(self.spans) + 1, tuple(links), started_ns))
        return self.spans[-1]

    def stop(self) -> None:
        """There is nothing to send."""


@contextmanager
def noting() -> Iterator[Notes]:
    """What this process records in the block; every trace, if nobody says otherwise."""
    notes = Notes()
    tracing.record_by(notes)
    try:
        yield notes
    finally:
        tracing.record_by(None)
