"""The metrics page: reads the counters when it is asked, so that counting costs the hot path an addition."""

from collections.abc import Iterable, Iterator, Sequence
from http.server import HTTPServer
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.scheduler.dispatcher import Dispatcher
from services.scheduler.domain.queue import CLASSES
from services.scheduler.stats import WAIT_BOUNDS_MS, Stats

_PREFIX: Final = "llmos_scheduler_"
_TOTALS: Final = (
    ("pulled", "Messages taken from the stream"),
    ("express", "Requests that came past the stream"),
    ("stored", "Of them, those put into the stream because no worker had room"),
    ("handed_over", "Offers made to workers"),
    ("accepted", "Requests that a worker accepted"),
    ("unanswered", "Offers that a worker left unanswered"),
    ("redelivered", "Messages that JetStream delivered more than once"),
    ("repeated", "Messages for a request that was held or settled already"),
    ("cancelled", "Requests called off before a worker had them"),
    ("invalid", "Messages that could not be read"),
    ("unsaid", "Messages dropped because too much waited to be sent"),
)
_LABELLED: Final = (
    ("refused", "reason", "Offers that a worker refused"),
    ("failed", "code", "Requests that ended in the scheduler"),
    ("lost", "reason", "Workers declared dead"),
)


class SchedulerCollector(Collector):
    """Presents the state of every pool of one process."""

    def __init__(self, dispatchers: Sequence[Dispatcher]) -> None:
        self._dispatchers = dispatchers

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        stats = [(dispatcher.pool, dispatcher.stats) for dispatcher in self._dispatchers]
        yield from self._gauges()
        yield _waits(stats)
        for name, text in _TOTALS:
            total = CounterMetricFamily(_PREFIX + name, text, labels=("pool",))
            for pool, counted in stats:
                total.add_metric((pool,), getattr(counted, name))
            yield total
        for name, label, text in _LABELLED:
            total = CounterMetricFamily(_PREFIX + name, text, labels=("pool", label))
            for pool, counted in stats:
                for value, count in getattr(counted, name).copy().items():
                    total.add_metric((pool, value), count)
            yield total

    def _gauges(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(_PREFIX + "queue_depth", "Requests that wait", labels=("pool", "service_class"))
        held = GaugeMetricFamily(_PREFIX + "held", "Requests leased from the stream", labels=("pool",))
        workers = GaugeMetricFamily(_PREFIX + "workers", "Workers known", labels=("pool", "state"))
        capacity = GaugeMetricFamily(_PREFIX + "capacity", "Executions that the workers can hold", labels=("pool",))
        credits_free = GaugeMetricFamily(_PREFIX + "credits", "Executions that may still be started", labels=("pool",))
        for dispatcher in self._dispatchers:
            pool = dispatcher.pool
            for service_class in CLASSES:
                depth.add_metric((pool, service_class), dispatcher.queue.depth(service_class))
            known = list(dispatcher.registry.workers.values())
            for state in sorted({worker.state for worker in known}):
                workers.add_metric((pool, state), sum(worker.state == state for worker in known))
            held.add_metric((pool,), len(dispatcher.ledger))
            capacity.add_metric((pool,), sum(worker.capacity for worker in known))
            credits_free.add_metric((pool,), sum(worker.credits for worker in known if worker.open))
        yield from (depth, held, workers, capacity, credits_free)


def serve(port: int, dispatchers: Sequence[Dispatcher]) -> HTTPServer:
    """Serve the page on loopback from a thread of its own; `shutdown` the result to end it."""
    registry = CollectorRegistry()
    registry.register(SchedulerCollector(dispatchers))
    server, _ = start_http_server(port, addr="127.0.0.1", registry=registry)
    return server


def _waits(stats: Iterable[tuple[str, Stats]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        _PREFIX + "wait_ms", "Milliseconds between submission and acceptance", labels=("pool",)
    )
    for pool, counted in stats:
        running, buckets = 0, []
        for bound, count in zip((*WAIT_BOUNDS_MS, "+Inf"), list(counted.wait_counts), strict=True):
            running += count
            buckets.append((str(bound), running))
        family.add_metric((pool,), buckets, counted.wait_sum_ms)
    return family
