"""Traces: which spans there are and how one follows from another. Costs next to nothing where none is recorded.

A span exists only inside a trace that is recorded, and that is decided once, at the door. Nothing of OpenTelemetry is
imported here: what records is in `export`, which is loaded where an endpoint is set, when the process begins.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from enum import IntEnum
from types import TracebackType
from typing import Final, Protocol, Self

from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.settings import TracingSettings
from libs.kit.telemetry.traceparent import HEADER, Parent, is_sampled, read

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value]


class Kind(IntEnum):
    """OpenTelemetry's kinds of spans, with its numbers."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Span(Protocol):
    """One thing that one process did, recorded when it ends; one that never ends is never seen."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    @property
    def traceparent(self) -> str:
        """Tells whoever is asked next that this is what asks."""

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""

    def rename(self, name: str) -> None:
        """Its name is known better than when it began."""

    def fail(self, error: str) -> None:
        """Something went wrong in it; `error` is the code of what."""

    def end(self, error: str = "") -> None:
        """It is over, after this failure if one is named."""


class Recorder(Protocol):
    """What makes spans and takes them away."""

    def start(
        self, name: str, kind: Kind, parent: Parent | None, started_ns: int | None, links: Iterable[Parent]
    ) -> Span:
        """Begin a span, of a trace of its own without `parent`; `started_ns` is Unix time, by default the present."""

    def stop(self) -> None:
        """Send what waits, for as long as may be waited for that."""


class _State:
    """What this process does about traces; one object, because it is asked on every request."""

    recorder: Recorder | None = None
    sample_ratio = 0.0


_state: Final = _State()
_current: ContextVar[Span | None] = ContextVar("llmos_span", default=None)


def configure_tracing(service: str, settings: TracingSettings) -> None:
    """Have this process record spans from here on, if it is told where to send them; call once, at start."""
    if settings.endpoint:
        # A tenth of a second and some MiB, which a process that records nothing saves.
        from libs.kit.telemetry.export import Exporting  # noqa: PLC0415

        record_by(Exporting(service, settings.endpoint), settings.sample_ratio)


def record_by(recorder: Recorder | None, sample_ratio: float = 1.0) -> None:
    """Have `recorder` record what this process does; None ends that."""
    _state.recorder, _state.sample_ratio = recorder, sample_ratio


def stop_tracing() -> None:
    """Send what waits, and record nothing more."""
    recorder, _state.recorder = _state.recorder, None
    if recorder is not None:
        recorder.stop()


def is_on() -> bool:
    """Whether this process records anything."""
    return _state.recorder is not None


def is_wanted(traceparent: str) -> bool:
    """Whether a request from outside is to be recorded: as its caller has decided, else by chance; ask once."""
    if _state.recorder is None:
        return False
    return is_sampled(traceparent) if traceparent else clock.chance(_state.sample_ratio)


def begin_trace(name: str, kind: Kind, traceparent: str, *, started_ns: int | None = None) -> Span | None:
    """The span of a request from outside that is wanted; None if nothing is recorded here."""
    recorder = _state.recorder
    return recorder.start(name, kind, read(traceparent), started_ns, ()) if recorder is not None else None


def begin(name: str, kind: Kind, traceparent: str, *, started_ns: int | None = None) -> Span | None:
    """A span below the one that `traceparent` names; None if that one is not recorded, or nothing is here."""
    recorder = _state.recorder
    if recorder is None or (parent := read(traceparent)) is None:
        return None
    return recorder.start(name, kind, parent, started_ns, ())


def begin_linked(name: str, kind: Kind, traceparents: Iterable[str]) -> Span | None:
    """A span of a trace of its own that names several others as its causes; None if none of them is recorded."""
    recorder = _state.recorder
    if recorder is None:
        return None
    links = {parent for each in traceparents if (parent := read(each)) is not None}
    return recorder.start(name, kind, None, None, links) if links else None


def current() -> Span | None:
    """The span that this task is in."""
    return _current.get()


def enter(span: Span | None) -> None:
    """From here on this task, and whatever it starts, is in `span`, or in none."""
    _current.set(span)


def failed(error: str) -> None:
    """What this task is in has failed; `error` is the code of why."""
    span = _current.get()
    if span is not None:
        span.fail(error)


def traceparent() -> str:
    """Tells others which span this task is in; empty for none."""
    span = _current.get()
    return span.traceparent if span is not None else ""


def header_line(span: Span | None) -> str:
    """What a message that `span` sends has among its headers; nothing without a span."""
    return f"{HEADER}: {span.traceparent}\r\n" if span is not None else ""


def error_of(error: BaseException) -> str:
    """What spans say of a failure: a code, or the exception's class, never its text."""
    return error.code if isinstance(error, ServiceError) else type(error).__name__


class Within:
    """A block in `span`, which ends with it; without a span, a block like any other."""

    __slots__ = ("_before", "span")

    def __init__(self, span: Span | None) -> None:
        self.span = span

    def __enter__(self) -> Self:
        if self.span is not None:
            self._before = _current.get()
            _current.set(self.span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.span is not None:
            _current.set(self._before)
            self.span.end(error_of(error) if error is not None else "")


class Step:
    """A block that is one span below the present one; nothing where there is none."""

    __slots__ = ("_attributes", "_kind", "_name", "_span")

    def __init__(self, name: str, kind: Kind, attributes: Attributes) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._span: Span | None = None

    def __enter__(self) -> Span | None:
        asking = _current.get()
        if asking is not None:
            self._span = begin(self._name, self._kind, asking.traceparent)
            if self._span is not None:
                self._span.set(self._attributes)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is not None:
            # Whoever closes an iterator has heard enough of it; nothing has failed.
            self._span.end("" if error is None or kind is GeneratorExit else error_of(error))


class Unrecorded:
    """A block in no span, for what goes on for as long as a job does and is each time the same."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = _current.get()
        _current.set(None)

    def __exit__(self, *_: object) -> None:
        _current.set(self._before)
