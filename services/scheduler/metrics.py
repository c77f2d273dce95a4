"""What Prometheus can read of a scheduler: looked up when it asks, so that counting costs the hot path an addition."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.contracts.inference import WorkerState
from libs.kit import clock
from libs.kit.metrics.measure import Measure, counter, gauge, histogram
from libs.kit.metrics.readings import Rows
from libs.kit.page import Page
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.domain.queue import CLASSES
from services.scheduler.stats import WAIT_BOUNDS_MS

_PREFIX: Final = "llmos_scheduler_"
_TOTALS: Final = {
    name: counter(_PREFIX + name, f"{sentence}.", "pool")
    for name, sentence in (
        ("pulled", "Messages taken from the stream"),
        ("express", "Requests that came past the stream; not those that gateways hand over themselves"),
        ("stored", "Of them, those put into the stream because no worker had room"),
        ("handed_over", "Offers made to workers"),
        ("accepted", "Requests that a worker accepted from a scheduler"),
        ("unanswered", "Offers that a worker left unanswered"),
        ("redelivered", "Messages that JetStream delivered more than once"),
        ("repeated", "Messages for a request that was held or settled already"),
        ("cancelled", "Requests called off before a worker had them"),
        ("invalid", "Messages that could not be read"),
        ("unsaid", "Messages dropped because too much waited to be sent"),
    )
}
_LABELLED: Final = {
    name: counter(_PREFIX + name, f"{sentence}.", "pool", label)
    for name, label, sentence in (
        ("refused", "reason", "Offers that a worker refused"),
        ("failed", "code", "Requests that ended in the scheduler"),
        ("lost", "reason", "Workers declared dead"),
    )
}
_DEPTH: Final = gauge(_PREFIX + "queue_depth", "Requests that wait.", "pool", "service_class")
_AGE: Final = gauge(_PREFIX + "queue_oldest_seconds", "Age of the oldest of them; 0: none.", "pool", "service_class")
_HELD: Final = gauge(_PREFIX + "held", "Requests leased from the stream.", "pool")
_WORKERS: Final = gauge(_PREFIX + "workers", "Workers known.", "pool", "state")
_CAPACITY: Final = gauge(_PREFIX + "capacity", "Executions that the workers can hold.", "pool")
_CREDITS: Final = gauge(
    _PREFIX + "credits",
    "Executions that may still be started; of direct ones only those are known that a beat has named.",
    "pool",
)
_WAIT: Final = histogram(
    _PREFIX + "wait_ms", "Milliseconds between submission and acceptance of what went by a scheduler.", "pool"
)

_READ: Final = (*_TOTALS.values(), *_LABELLED.values(), _DEPTH, _AGE, _HELD, _WORKERS, _CAPACITY, _CREDITS)
MEASURES: Final = (*_READ, _WAIT)

_STATES: Final = (WorkerState.READY.value, WorkerState.DRAINING.value, "cordoned")


def show(page: Page, dispatchers: Sequence[Dispatcher]) -> None:
    """Show every pool of this process."""

    async def read() -> dict[Measure, Rows]:
        return {**_totals(dispatchers), **_queues(dispatchers), **_workers(dispatchers)}

    page.look_up("pools", _READ, read)
    page.registry.register(_Waits(dispatchers))


class _Waits(Collector):
    """How long requests waited, as a histogram."""

    def __init__(self, dispatchers: Sequence[Dispatcher]) -> None:
        self._dispatchers = dispatchers

    def describe(self) -> Iterable[Metric]:
        return [_WAIT.buckets()]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = _WAIT.buckets()
        for dispatcher in self._dispatchers:
            stats = dispatcher.stats
            running, buckets = 0, []
            for bound, count in zip((*WAIT_BOUNDS_MS, "+Inf"), list(stats.wait_counts), strict=True):
                running += count
                buckets.append((str(bound), running))
            family.add_metric((dispatcher.pool,), buckets, stats.wait_sum_ms)
        yield family


def _totals(dispatchers: Sequence[Dispatcher]) -> dict[Measure, Rows]:
    plain = {
        measure: [((one.pool,), getattr(one.stats, name)) for one in dispatchers] for name, measure in _TOTALS.items()
    }
    labelled = {
        measure: [
            ((one.pool, value), count) for one in dispatchers for value, count in getattr(one.stats, name).items()
        ]
        for name, measure in _LABELLED.items()
    }
    return {**plain, **labelled}


def _queues(dispatchers: Sequence[Dispatcher]) -> dict[Measure, Rows]:
    depths, ages = [], []
    now_ms = clock.unix_ms()
    for one in dispatchers:
        for service_class in CLASSES:
            names = (one.pool, service_class.value)
            oldest_ms = one.queue.oldest_ms(service_class)
            depths.append((names, float(one.queue.depth(service_class))))
            ages.append((names, max(0, now_ms - oldest_ms) / 1_000 if oldest_ms else 0.0))
    return {_DEPTH: depths, _AGE: ages, _HELD: [((one.pool,), len(one.ledger)) for one in dispatchers]}


def _workers(dispatchers: Sequence[Dispatcher]) -> dict[Measure, Rows]:
    states, capacity, credits_free = [], [], []
    for one in dispatchers:
        known = list(one.registry.workers.values())
        found = Counter("cordoned" if worker.cordoned else worker.state.value for worker in known)
        states += [((one.pool, state), float(found[state])) for state in _STATES]
        capacity.append(((one.pool,), float(sum(worker.capacity for worker in known))))
        credits_free.append(((one.pool,), float(sum(worker.credits for worker in known if worker.open))))
    return {_WORKERS: states, _CAPACITY: capacity, _CREDITS: credits_free}
