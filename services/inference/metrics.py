"""What a worker counts: plain numbers, made into families when Prometheus asks. The engine's own stand beside them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.kit.metrics.durations import Durations, family
from libs.kit.metrics.measure import Measure, counter, gauge, histogram

_ENDED: Final = counter("llmos_inference_executions", "Executions that ended.", "outcome")
_DURATION: Final = histogram("llmos_inference_execution_seconds", "From acceptance to the end of an execution.")
_RUNNING: Final = gauge("llmos_inference_running", "Executions held now.")
_CAPACITY: Final = gauge("llmos_inference_capacity", "Executions that can be held at the same time.")
_FRAMES: Final = counter("llmos_inference_frames", "Frames sent.")
_NAMES: Final = gauge("llmos_inference_names", "Names that this worker answers to.")
_ADAPTERS: Final = gauge("llmos_inference_adapters", "Adapters that are loaded.")
_MISSING: Final = gauge("llmos_inference_adapters_missing", "Adapters of the deployment that are not loaded.")

MEASURES: Final[tuple[Measure, ...]] = (
    _ENDED,
    _DURATION,
    _RUNNING,
    _CAPACITY,
    _FRAMES,
    _NAMES,
    _ADAPTERS,
    _MISSING,
)

_BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SHOWN_ALREADY: Final = ("process_", "python_")


@dataclass(frozen=True, kw_only=True)
class Sights:
    """What is read of a worker when somebody asks, instead of being counted twice."""

    running: Callable[[], int]
    capacity: Callable[[], int]
    frames: Callable[[], int]
    names: Callable[[], int]
    adapters: Callable[[], int]
    missing: Callable[[], int]


class Metrics(Collector):
    """The numbers of one worker process."""

    def __init__(self) -> None:
        self._outcomes: dict[str, int] = {}
        self._duration = Durations(_BOUNDS_S)
        self._sights: Sights | None = None

    def watch(self, sights: Sights) -> None:
        """Show these, too."""
        self._sights = sights

    def ended(self, outcome: str, seconds: float) -> None:
        """One execution ended."""
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        self._duration.add(seconds)

    def describe(self) -> Iterable[Metric]:
        """Nothing: there is nobody here whose names could be the same."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Render what was counted and what can be seen."""
        ended = _ENDED.counts()
        for outcome, count in self._outcomes.copy().items():
            ended.add_metric((outcome,), count)
        yield ended
        yield family(_DURATION, [((), self._duration)])
        if self._sights is not None:
            yield from _seen(self._sights)


class EngineMetrics(Collector):
    """What the engine counts in the registry that it shares with everybody."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: the engine knows its own."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of it but the process, which is on the page already."""
        return (found for found in REGISTRY.collect() if not found.name.startswith(_SHOWN_ALREADY))


def _seen(sights: Sights) -> Iterator[Metric]:
    frames = _FRAMES.counts()
    frames.add_metric((), sights.frames())
    yield frames
    for measure, value in (
        (_RUNNING, sights.running()),
        (_CAPACITY, sights.capacity()),
        (_NAMES, sights.names()),
        (_ADAPTERS, sights.adapters()),
        (_MISSING, sights.missing()),
    ):
        found = measure.values()
        found.add_metric((), value)
        yield found
