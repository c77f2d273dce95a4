"""Stands in for Jaeger 2: receives OTLP over HTTP, and answers as Jaeger does for one trace and for its health."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from libs.testkit.collector import Collector, SeenSpan, collecting

OTLP_PORT: Final = 4318
QUERY_PORT: Final = 16686
HEALTH_PORT: Final = 13133


def main() -> None:
    """Serve until killed."""
    with collecting(host="0.0.0.0", port=OTLP_PORT) as collector:  # noqa: S104 - in a container, on an internal network
        query = ThreadingHTTPServer(("0.0.0.0", QUERY_PORT), _handler(collector))  # noqa: S104 - likewise
        threading.Thread(target=query.serve_forever, daemon=True).start()
        ThreadingHTTPServer(("127.0.0.1", HEALTH_PORT), _handler(collector)).serve_forever()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            head, _, asked = self.path.rpartition("/")
            spans = collector.trace(asked) if head == "/api/traces" else []
            is_found = bool(spans) or asked == "status"
            body = json.dumps(_trace(asked, spans)).encode()
            self.send_response(200 if is_found else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _trace(trace_id: str, spans: list[SeenSpan]) -> dict[str, Any]:
    services = sorted({span.service for span in spans})
    told = [
        {
            "traceID": trace_id,
            "spanID": span.span_id,
            "operationName": span.name,
            "processID": f"p{services.index(span.service)}",
            "references": [{"refType": "CHILD_OF", "traceID": trace_id, "spanID": span.parent_id}],
        }
        for span in spans
    ]
    processes = {f"p{number}": {"serviceName": service} for number, service in enumerate(services)}
    return {"data": [{"traceID": trace_id, "spans": told, "processes": processes}]}


if __name__ == "__main__":
    main()
