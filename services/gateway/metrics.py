"""What Prometheus can read of a gateway.

The numbers of the hot path are plain lists and dictionaries, rendered only when Prometheus asks: the client library's
histograms take locks and cost about 1.5 µs per value, several times per request.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.kit.health import Finding
from libs.kit.metrics.durations import TOKEN_BOUNDS_S, Durations, family
from libs.kit.metrics.measure import Measure, counter, gauge, histogram
from libs.kit.metrics.parts import MISSING, PLUMBING, READY
from libs.kit.page import Joined
from services.gateway.exchange import Exchange
from services.gateway.inflight import InFlight

_PREFIX: Final = "llmos_gateway_"
_REQUESTS: Final = counter(_PREFIX + "requests", "Requests that ended.", "route", "outcome", "status")
_ERRORS: Final = counter(_PREFIX + "errors", "Requests that were refused or failed, by the code of the error.", "code")
_SENT: Final = counter(_PREFIX + "response_bytes", "Body bytes sent.", "route")
_TOKENS: Final = counter(_PREFIX + "tokens", "Tokens of requests; `cached` are among `prompt`.", "route", "kind")
_FIRST_BYTE: Final = histogram(_PREFIX + "first_byte_seconds", "Arrival to first body byte.", "route")
_FIRST_TOKEN: Final = histogram(_PREFIX + "first_token_seconds", "The same of streams: their first token.", "route")
_TOKEN: Final = histogram(_PREFIX + "token_seconds", "Mean time between a stream's tokens after the first.", "route")
_QUEUE: Final = histogram(_PREFIX + "queue_seconds", "Submission to acceptance.", "route")
_TOTAL: Final = histogram(_PREFIX + "request_seconds", "Arrival to end.", "route")
_SUBMISSIONS: Final = counter(
    _PREFIX + "submissions",
    "Requests put on the bus: `direct` to a worker, `express` to a scheduler, `stored` into the stream.",
    "way",
)
_DIRECT_FAILED: Final = counter(
    _PREFIX + "direct_failed",
    "Direct requests in vain: the worker refused, nobody listened (`deaf`), or no word came in time (`silent`).",
    "reason",
)
_HOT: Final = (
    _DIRECT_FAILED,
    _SUBMISSIONS,
    _REQUESTS,
    _ERRORS,
    _SENT,
    _TOKENS,
    _FIRST_BYTE,
    _FIRST_TOKEN,
    _TOKEN,
    _QUEUE,
    _TOTAL,
)

_RETRIES: Final = counter(_PREFIX + "retries", "Requests submitted again.")
_FOREIGN: Final = counter(_PREFIX + "foreign_frames", "Frames of executions that do not answer.")
_SLOW: Final = counter(_PREFIX + "slow_clients", "Clients cut off because they did not read.")
_UNMIRRORED: Final = counter(_PREFIX + "mirrors_dropped", "Requests that should have been mirrored and were not.")
_UNOBSERVED: Final = counter(_PREFIX + "unobserved", "Divided or mirrored requests that are evidence for no version.")
_COUNTED: Final = (_RETRIES, _FOREIGN, _SLOW, _UNMIRRORED, _UNOBSERVED)

IN_FLIGHT: Final = gauge(_PREFIX + "in_flight", "Requests in flight.")
MIRRORS: Final = gauge(_PREFIX + "mirrors_in_flight", "Of these, mirrored ones, whose answers nobody sees.")
CONNECTED: Final = gauge(_PREFIX + "bus_connected", "1 while the bus is connected.")
RECONNECTS: Final = gauge(_PREFIX + "bus_reconnects", "Reconnects since the start.")
LISTENERS: Final = gauge(_PREFIX + "event_listeners", "Who listens to public events here.")
EVENTS_PENDING: Final = gauge(_PREFIX + "events_pending", "Events not yet acknowledged.")
EVENTS_DROPPED: Final = gauge(_PREFIX + "events_dropped", "Events given up.")
_SEEN: Final = (IN_FLIGHT, MIRRORS, CONNECTED, RECONNECTS, LISTENERS, EVENTS_PENDING, EVENTS_DROPPED)

MEASURES: Final[tuple[Measure, ...]] = (*_HOT, *_COUNTED, *_SEEN)


class _RouteNumbers:
    """The numbers of one route."""

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "first_token",
        "outcomes",
        "prompt_tokens",
        "queue",
        "response_bytes",
        "token",
        "total",
        "whole",
    )

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, int], int] = {}
        self.whole = Durations()
        """Of answers that are no streams: when the first byte came, and with it all others."""
        self.first_token = Durations()
        self.token = Durations(TOKEN_BOUNDS_S)
        self.queue = Durations()
        self.total = Durations()
        self.response_bytes = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0


class Metrics(Collector):
    """Counters, gauges and histograms of one gateway process."""

    def __init__(self) -> None:
        """Each process, and each application in a test, has a registry of its own."""
        self.registry = CollectorRegistry()
        self._routes: dict[str, _RouteNumbers] = {}
        self._errors: dict[str, int] = {}
        self._direct_failed: dict[str, int] = {}
        self.submissions = {"direct": 0, "express": 0, "stored": 0}
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        self.registry.register(Joined(PLUMBING))
        self.retries, self.foreign_frames, self.slow_clients, self.mirrors_dropped, self.unobserved = (
            self._counter(measure) for measure in _COUNTED
        )
        self._ready = READY.gauge(self.registry)
        self._missing = MISSING.gauge(self.registry)

    def direct_failed(self, reason: str) -> None:
        """Count a request that was handed to a worker in vain."""
        self._direct_failed[reason] = self._direct_failed.get(reason, 0) + 1

    def gauge(self, measure: Measure, read: Callable[[], float]) -> None:
        """Show a value that is read only when Prometheus asks."""
        measure.gauge(self.registry).set_function(read)

    def how_it_is(self, found: Finding, depends: Iterable[str]) -> None:
        """Show what is missing of `depends`."""
        self._ready.set(found.is_ready)
        for name in depends:
            self._missing.labels(name).set(name in found.lacks)

    def count(self, exchange: Exchange, inflight: InFlight | None, *, total_s: float) -> None:
        """Count one finished exchange."""
        numbers = self._routes.get(exchange.route.path)
        if numbers is None:
            numbers = self._routes[exchange.route.path] = _RouteNumbers()
        outcome = (exchange.outcome, exchange.status)
        numbers.outcomes[outcome] = numbers.outcomes.get(outcome, 0) + 1
        numbers.total.add(total_s)
        if exchange.error_code:
            self._errors[exchange.error_code] = self._errors.get(exchange.error_code, 0) + 1
        if exchange.work_began:
            numbers.queue.add(inflight.queue_ms / 1000 if inflight is not None else 0.0)
        usage = inflight.usage if inflight is not None else None
        if usage is not None:
            numbers.prompt_tokens += usage.prompt_tokens
            numbers.cached_tokens += usage.cached_tokens
            numbers.completion_tokens += usage.completion_tokens
        if exchange.first_byte_s:
            first_s = exchange.first_byte_s - exchange.arrived_s
            numbers.response_bytes += exchange.response_bytes
            if not exchange.stream:
                numbers.whole.add(first_s)
                return
            numbers.first_token.add(first_s)
            if usage is not None and usage.completion_tokens > 1:
                numbers.token.add((total_s - first_s) / (usage.completion_tokens - 1))

    def collect(self) -> Iterator[Metric]:
        """Render the numbers of the hot path."""
        yield from self._totals()
        rows = [((route,), row) for route, row in self._routes.items()]
        yield family(_FIRST_BYTE, ((labels, row.whole.with_those_of(row.first_token)) for labels, row in rows))
        yield family(_FIRST_TOKEN, ((labels, row.first_token) for labels, row in rows))
        yield family(_TOKEN, ((labels, row.token) for labels, row in rows))
        yield family(_QUEUE, ((labels, row.queue) for labels, row in rows))
        yield family(_TOTAL, ((labels, row.total) for labels, row in rows))

    def _totals(self) -> Iterator[Metric]:
        requests, sent, tokens, errors = _REQUESTS.counts(), _SENT.counts(), _TOKENS.counts(), _ERRORS.counts()
        for route, numbers in self._routes.items():
            for (outcome, status), count in numbers.outcomes.items():
                requests.add_metric((route, outcome, str(status)), count)
            sent.add_metric((route,), numbers.response_bytes)
            tokens.add_metric((route, "prompt"), numbers.prompt_tokens)
            tokens.add_metric((route, "cached"), numbers.cached_tokens)
            tokens.add_metric((route, "completion"), numbers.completion_tokens)
        for code, count in self._errors.items():
            errors.add_metric((code,), count)
        submissions = _SUBMISSIONS.counts()
        for way, count in self.submissions.items():
            submissions.add_metric((way,), count)
        failed = _DIRECT_FAILED.counts()
        for reason, count in self._direct_failed.items():
            failed.add_metric((reason,), count)
        yield from (submissions, failed, requests, sent, tokens, errors)

    def _counter(self, measure: Measure) -> Counter:
        return measure.counter(self.registry)
