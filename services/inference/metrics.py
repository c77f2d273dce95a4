"""What the worker counts; the engine's own `vllm:*` metrics are served beside them."""

from collections.abc import Callable
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Counters of one worker process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry or CollectorRegistry()
        self._ended = Counter(
            "llmos_inference_executions",
            "Executions that ended, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._by_outcome: dict[str, Counter] = {}
        self._duration = Histogram(
            "llmos_inference_execution_seconds",
            "From acceptance to the end of an execution.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._running = Gauge("llmos_inference_running", "Executions held now.", registry=self._registry)
        self._frames = Gauge("llmos_inference_frames", "Frames sent since the start.", registry=self._registry)

    @classmethod
    def served_on(cls, port: int) -> "Metrics":
        """Counters that Prometheus can read on loopback, beside the engine's; private ones if `port` is 0."""
        if not port:
            return cls()
        start_http_server(port, addr="127.0.0.1")
        return cls(REGISTRY)

    def watch(self, *, running: Callable[[], int], frames: Callable[[], int]) -> None:
        """Read these when somebody asks, instead of counting twice."""
        self._running.set_function(running)
        self._frames.set_function(frames)

    def ended(self, outcome: str, seconds: float) -> None:
        """One execution ended."""
        counter = self._by_outcome.get(outcome)
        if counter is None:
            counter = self._by_outcome[outcome] = self._ended.labels(outcome)
        counter.inc()
        self._duration.observe(seconds)
