"""What the benchmark is to show, line by line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Spread, differences, events_per_s, ratios, requests_per_s
from benchmarks.records import Run, Window

OURS: Final = "llmos"


@dataclass(frozen=True)
class Target:
    """One claim with its bound: `at_least`, or else `at_most`."""

    part: str
    claim: str
    bound: float
    at_least: bool
    unit: str
    measured: Callable[[Run], Spread | None]

    def verdict(self, spread: Spread | None) -> str:
        """Whether the bound holds: in every round, by the median only, or not."""
        if spread is None:
            return "not measured"
        worst = spread.low if self.at_least else spread.high
        if self._holds(worst):
            return "met in every round"
        return "met by the median" if self._holds(spread.median) else "**missed**"

    def _holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def ttft_p50_ms(window: Window) -> float | None:
    """Median time to the first event."""
    return window.figures.ttft_p50_ms


def _throughput(load: str) -> Target:
    concurrency = load.rpartition("c")[2]
    return Target(
        "vllm",
        f"throughput with real vLLM at {concurrency}, against `vllm serve`",
        0.95,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, load, OURS, "vllm-serve", requests_per_s),
    )


def _added_ttft(load: str) -> Target:
    concurrency = load.rpartition("c")[2]
    return Target(
        "mock",
        f"time to first token added to the engine's own, p50, paced at {concurrency}",
        2.0,
        at_least=False,
        unit=" ms",
        measured=lambda run: differences(run, load, OURS, "direct", ttft_p50_ms),
    )


TARGETS: Final = (
    Target(
        "mock",
        "events per second, 64 tokens at once at 32, against vllm-router",
        2.0,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, "burst-c32", OURS, "vllm-router", events_per_s),
    ),
    Target(
        "mock",
        "requests per second, not streamed at 32, against LiteLLM",
        50.0,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, "whole-c32", OURS, "litellm", requests_per_s),
    ),
    _added_ttft("paced-c1"),
    _added_ttft("paced-c16"),
    _throughput("vllm-c1"),
    _throughput("vllm-c8"),
    _throughput("vllm-c32"),
)
