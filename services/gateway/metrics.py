"""What Prometheus can read of a gateway.

The numbers of the hot path are plain lists and dictionaries, rendered only when Prometheus asks: the client library's
histograms take locks and cost about 1.5 µs per value, three times per request.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.gateway.exchange import Exchange

BOUNDS_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


class Durations:
    """How long something took, in seconds, by bucket."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        """Begin empty; the last bucket has no upper bound."""
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and cumulative counts, as the exposition format wants them."""
        total = 0
        rows = []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class _RouteNumbers:
    """The numbers of one route."""

    __slots__ = ("first_byte", "outcomes", "queue", "response_bytes", "total")

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, int], int] = {}
        self.first_byte = Durations()
        self.queue = Durations()
        self.total = Durations()
        self.response_bytes = 0


class Metrics(Collector):
    """Counters, gauges and histograms of one gateway process."""

    def __init__(self) -> None:
        """Each process, and each application in a test, has a registry of its own."""
        self.registry = CollectorRegistry()
        self._routes: dict[str, _RouteNumbers] = {}
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        self.retries = self._counter("retries", "Requests submitted again.")
        self.foreign_frames = self._counter("foreign_frames", "Frames of executions that do not answer.")
        self.slow_clients = self._counter("slow_clients", "Clients cut off because they did not read.")
        self.mirrors_dropped = self._counter("mirrors_dropped", "Requests that should have been mirrored and were not.")
        self.unobserved = self._counter("unobserved", "Divided or mirrored requests that are evidence for no version.")

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a value that is read only when Prometheus asks."""
        Gauge(f"llmos_gateway_{name}", text, registry=self.registry).set_function(read)

    def count(self, exchange: Exchange, *, total_s: float, queue_ms: int) -> None:
        """Count one finished exchange."""
        numbers = self._routes.get(exchange.route.path)
        if numbers is None:
            numbers = self._routes[exchange.route.path] = _RouteNumbers()
        outcome = (exchange.outcome, exchange.status)
        numbers.outcomes[outcome] = numbers.outcomes.get(outcome, 0) + 1
        numbers.total.add(total_s)
        if exchange.work_began:
            numbers.queue.add(queue_ms / 1000)
        if exchange.first_byte_s:
            numbers.first_byte.add(exchange.first_byte_s - exchange.arrived_s)
            numbers.response_bytes += exchange.response_bytes

    def collect(self) -> Iterator[Metric]:
        """Render the numbers of the hot path."""
        requests = CounterMetricFamily(
            "llmos_gateway_requests", "Requests that ended.", labels=("route", "outcome", "status")
        )
        sent = CounterMetricFamily("llmos_gateway_response_bytes", "Body bytes sent.", labels=("route",))
        for route, numbers in self._routes.items():
            for (outcome, status), count in numbers.outcomes.items():
                requests.add_metric((route, outcome, str(status)), count)
            sent.add_metric((route,), numbers.response_bytes)
        yield requests
        yield sent
        rows = self._routes.items()
        yield _family("first_byte", "Arrival to first body byte.", ((route, row.first_byte) for route, row in rows))
        yield _family("queue", "Submission to acceptance.", ((route, row.queue) for route, row in rows))
        yield _family("request", "Arrival to end.", ((route, row.total) for route, row in rows))

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"llmos_gateway_{name}", text, registry=self.registry)


def _family(name: str, text: str, rows: Iterable[tuple[str, Durations]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"llmos_gateway_{name}_seconds", text, labels=("route",))
    for route, durations in rows:
        family.add_metric((route,), durations.buckets(), durations.sum_s)
    return family
