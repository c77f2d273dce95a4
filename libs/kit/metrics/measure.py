"""One number that a process shows: its name, what it says, and by what it is told apart."""

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

# A series for each counter, of when it began, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library does not say


class Kind(StrEnum):
    """How a number behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of a table of numbers.

    Attributes:
        kind: how it behaves.
        name: with its unit, and of a counter without the `_total` under which it is shown.
        sentence: what it says.
        labels: by what it is told apart; each has few values, never a tenant, a request or what clients write.
    """

    kind: Kind
    name: str
    sentence: str
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name by which Prometheus knows it."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name

    def counter(self, registry: CollectorRegistry) -> Counter:
        """A counter to be increased."""
        return Counter(self.name, self.sentence, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """A value to be set, or read by a function."""
        return Gauge(self.name, self.sentence, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry, bounds: tuple[float, ...]) -> Histogram:
        """Values to be observed, counted by upper bound."""
        return Histogram(self.name, self.sentence, self.labels, registry=registry, buckets=bounds)

    def counts(self) -> CounterMetricFamily:
        """Totals that a collector has counted by itself."""
        return CounterMetricFamily(self.name, self.sentence, labels=self.labels)

    def values(self) -> GaugeMetricFamily:
        """Values that a collector has read by itself."""
        return GaugeMetricFamily(self.name, self.sentence, labels=self.labels)

    def buckets(self) -> HistogramMetricFamily:
        """Values that a collector has sorted into buckets by itself."""
        return HistogramMetricFamily(self.name, self.sentence, labels=self.labels)


def counter(name: str, sentence: str, *labels: str) -> Measure:
    """A number that only grows."""
    return Measure(Kind.COUNTER, name, sentence, labels)


def gauge(name: str, sentence: str, *labels: str) -> Measure:
    """A number that comes and goes."""
    return Measure(Kind.GAUGE, name, sentence, labels)


def histogram(name: str, sentence: str, *labels: str) -> Measure:
    """Many numbers, counted by size."""
    return Measure(Kind.HISTOGRAM, name, sentence, labels)
