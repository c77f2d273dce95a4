"""What Prometheus can read of a gateway; label children are looked up once and kept."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.gateway.exchange import Exchange

_SECONDS: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


class _RouteMetrics:
    """The children of one route."""

    def __init__(self, metrics: "Metrics", route: str) -> None:
        self.first_byte = metrics.first_byte.labels(route)
        self.total = metrics.total.labels(route)
        self.sent = metrics.sent_bytes.labels(route)


class Metrics:
    """Counters, gauges and histograms of one gateway process."""

    def __init__(self) -> None:
        """Each process, and each application in a test, has a registry of its own."""
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "llmos_gateway_requests", "Requests that ended.", ("route", "outcome", "status"), registry=registry
        )
        self.first_byte = Histogram(
            "llmos_gateway_first_byte_seconds",
            "Arrival to first body byte.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.total = Histogram(
            "llmos_gateway_request_seconds", "Arrival to end.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.queue = Histogram(
            "llmos_gateway_queue_seconds", "Submission to acceptance.", buckets=_SECONDS, registry=registry
        )
        self.sent_bytes = Counter("llmos_gateway_response_bytes", "Body bytes sent.", ("route",), registry=registry)
        self.retries = Counter("llmos_gateway_retries", "Requests submitted again.", registry=registry)
        self.foreign_frames = Counter(
            "llmos_gateway_foreign_frames", "Frames of executions that do not answer.", registry=registry
        )
        self.slow_clients = Counter("llmos_gateway_slow_clients", "Clients cut off.", registry=registry)
        self._outcomes: dict[tuple[str, str, int], Counter] = {}
        self._routes: dict[str, _RouteMetrics] = {}

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a value that is read only when Prometheus asks."""
        Gauge(f"llmos_gateway_{name}", text, registry=self.registry).set_function(read)

    def count(self, exchange: Exchange, *, total_s: float, queue_ms: int) -> None:
        """Count one finished exchange."""
        route = exchange.route.path
        key = (route, exchange.outcome, exchange.status)
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self.requests.labels(route, exchange.outcome, str(exchange.status))
        outcome.inc()
        children = self._routes.get(route)
        if children is None:
            children = self._routes[route] = _RouteMetrics(self, route)
        children.total.observe(total_s)
        if exchange.work_began:
            self.queue.observe(queue_ms / 1000)
        if exchange.first_byte_s:
            children.first_byte.observe(exchange.first_byte_s - exchange.arrived_s)
            children.sent.inc(exchange.response_bytes)
