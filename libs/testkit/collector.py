"""A collector of traces: an OTLP/HTTP receiver that keeps every span, and can be told to fail."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class SeenSpan:
    """One span as it was exported."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """Trace ids."""


@dataclass
class Collector:
    """What was received so far."""

    port: int = 0
    answers: Callable[[], int] = lambda: 200
    """The status of the next answer; it may also wait."""
    spans: list[SeenSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    """Every request's body."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Every request's, their names in lower case."""
    connections: int = 0
    """How often somebody connected; as real collectors do, this one keeps connections."""

    @property
    def url(self) -> str:
        """What services are told."""
        return f"http://127.0.0.1:{self.port}"

    def trace(self, trace_id: str) -> list[SeenSpan]:
        """Every span of one trace, in the order of their beginnings."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.started_ns)

    def named(self, trace_id: str, name: str) -> SeenSpan | None:
        """The first span of that name in a trace."""
        return next((span for span in self.trace(trace_id) if span.name == name), None)

    def linked(self, trace_id: str) -> list[SeenSpan]:
        """Spans of other traces that name this one as a cause."""
        return [span for span in self.spans if trace_id in span.links]

    def below(self, parent: SeenSpan) -> list[SeenSpan]:
        """The spans directly below another."""
        return [span for span in self.trace(parent.trace_id) if span.parent_id == parent.span_id]

    def take(self, body: bytes) -> int:
        """Keep a request's spans and answer it."""
        status = self.answers()
        self.raw.append(body)
        if status == 200:
            self.spans += _read(body)
        return status


@contextmanager
def collecting(
    answers: Callable[[], int] = lambda: 200, *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Collector]:
    """A collector on loopback unless another address is named, on a free port unless one is."""
    collector = Collector(answers=answers)
    connected: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            collector.connections += 1
            connected.add(self.connection)

        def finish(self) -> None:
            super().finish()
            connected.discard(self.connection)

        def do_POST(self) -> None:
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            status = collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests read what was received, not the log."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="collector")
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        for connection in connected.copy():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _read(body: bytes) -> Iterator[SeenSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {each.key: _value(each.value) for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    service=about["service.name"],
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    is_error=span.status.code == 2,
                    started_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    attributes={each.key: _value(each.value) for each in span.attributes},
                    links=tuple(link.trace_id.hex() for link in span.links),
                )


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which) if which else None
