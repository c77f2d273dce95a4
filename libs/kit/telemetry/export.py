"""The one module that knows OpenTelemetry: makes its spans, and sends them from a thread of their own.

A collector that is away, slow or broken costs spans and nothing else: what waits is bounded, and the log hears of it
once a minute.
"""

import logging
import threading
from collections.abc import Iterable
from typing import Final

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from requests.utils import get_netrc_auth

from libs.kit import clock
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry.traceparent import Parent, write
from libs.kit.telemetry.tracing import Attributes, Kind, Value
from libs.kit.version import VERSION

log = structlog.get_logger(__name__)

LAST_THREAD: Final = "last-spans"
"""Sends what waits when the process ends."""
_PATH: Final = "/v1/traces"
_SEND_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 2.0
_WAITING_SPANS: Final = 4_096
_BATCH_SPANS: Final = 512
DELAY_MS: Final = 5_000
"""Spans wait at most so long for others to leave with them."""
_TELL_EVERY_S: Final = 60.0
_MAX_VALUE_CHARS: Final = 256
_KINDS: Final = {kind: SpanKind(kind.value) for kind in Kind}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class RecordedSpan:
    """A span of OpenTelemetry's, with its ids as text."""

    __slots__ = ("_span", "span_id", "trace_id", "traceparent")

    def __init__(self, span: OtelSpan) -> None:
        context = span.get_span_context()
        self._span = span
        self.trace_id = f"{context.trace_id:032x}"
        self.span_id = f"{context.span_id:016x}"
        self.traceparent = write(context.trace_id, context.span_id)

    def set(self, attributes: Attributes) -> None:
        """Say more about it."""
        self._span.set_attributes({name: _short(value) for name, value in attributes.items()})

    def rename(self, name: str) -> None:
        """Its name is known better than when it began."""
        self._span.update_name(name)

    def fail(self, error: str) -> None:
        """Something went wrong in it; `error` is the code of what."""
        self._span.set_attribute(names.ERROR_TYPE, error)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, error: str = "") -> None:
        """It is over, after this failure if one is named."""
        if error:
            self.fail(error)
        self._span.end()


class Exporting:
    """Records every span that it is asked for: whether there is one was decided before."""

    def __init__(self, service: str, endpoint: str) -> None:
        """Send to the collector at `endpoint`, by OTLP over HTTP."""
        _Seldom().take_over(logging.getLogger("opentelemetry"))
        self._exporter = _exporter(endpoint.rstrip("/") + _PATH)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {
                    "service.namespace": names.LLMOS,
                    "service.name": f"llmos-{service}",
                    "service.version": VERSION,
                    "service.instance.id": clock.new_instance_id(""),
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_WAITING_SPANS,
                max_export_batch_size=_BATCH_SPANS,
                schedule_delay_millis=DELAY_MS,
            )
        )
        self._tracer = self._provider.get_tracer(names.LLMOS)

    def start(
        self, name: str, kind: Kind, parent: Parent | None, started_ns: int | None, links: Iterable[Parent]
    ) -> RecordedSpan:
        """Begin a span, of a trace of its own without `parent`."""
        context = Context() if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)), Context())
        linked = [Link(_remote(each)) for each in links]
        return RecordedSpan(
            self._tracer.start_span(name, context, kind=_KINDS[kind], start_time=started_ns, links=linked)
        )

    def stop(self) -> None:
        """Send what waits, for two seconds at most."""
        last = threading.Thread(target=self._provider.shutdown, name=LAST_THREAD, daemon=True)
        last.start()
        last.join(_STOP_TIMEOUT_S)
        if last.is_alive():
            # It gives up what is left as soon as what it has begun ends, and does not keep the process.
            self._exporter.shutdown()  # type: ignore[no-untyped-call] # it has no types


def _exporter(url: str) -> OTLPSpanExporter:
    """Sends to `url`, over a connection that is kept."""
    session = requests.Session()
    exporter = OTLPSpanExporter(endpoint=url, timeout=_SEND_TIMEOUT_S, session=session)
    # Proxies, certificates and passwords that the environment names for this address: asked now, and not each time.
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.auth = found["proxies"], found["verify"], get_netrc_auth(url)
    session.trust_env = False
    return exporter


def _short(value: Value) -> Value:
    """Cut here: the library would tell of each that it cuts."""
    return value[:_MAX_VALUE_CHARS] if isinstance(value, str) else value


def _remote(parent: Parent) -> SpanContext:
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=_SAMPLED)


class _Seldom(logging.Handler):
    """Passes on, once a minute at most, what the library says of spans that it could not send."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._told_s = 0.0
        self._untold = 0

    def take_over(self, logger: logging.Logger) -> None:
        """Hear instead of the root logger whatever `logger` and those below it say."""
        logger.handlers[:] = [self]
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Tell, or count."""
        now_s = clock.monotonic_s()
        if self._told_s and now_s - self._told_s < _TELL_EVERY_S:
            self._untold += 1
            return
        untold, self._untold, self._told_s = self._untold, 0, now_s
        log.warning("traces are lost", reason=record.getMessage()[:300], before_this=untold)
